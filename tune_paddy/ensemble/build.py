"""Build an ensemble from finished members: load the pool, select, blend, write and record."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tune_paddy.core.errors import InputError
from tune_paddy.core.estimate import Assessment
from tune_paddy.core.explain import marginal_contributions, redundancies
from tune_paddy.core.metrics import error_rate, log_loss, metric_key
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.ensemble_file import ensemble_content, write_ensemble
from tune_paddy.data.submission.files import check_submission, write_submission
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.data.system.text import counted
from tune_paddy.ensemble.ensemble import Ensemble, member_contributions, member_weights
from tune_paddy.ensemble.fit import assess_fit, fit_pool, make_fit, member_groups
from tune_paddy.ensemble.folders import FILES, ensemble_folder, ensembles_lock, new_folder
from tune_paddy.ensemble.frontier import find_frontier
from tune_paddy.ensemble.naming import choose_name, proposed_name
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.html import REPORT, Sources, write_report
from tune_paddy.ensemble.reports.mlflow import describe_ensemble
from tune_paddy.ensemble.reports.page.gains import find_gains
from tune_paddy.ensemble.switch import rank
from tune_paddy.tracking.ensembles import log_ensemble, selection_digest
from tune_paddy.tracking.files import FIGURES, SPACE_FILE, SUBMISSION_FILE, read_text_of_search
from tune_paddy.tracking.lookup.ensembles import current_ensemble
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import RecordedRun, check_name, get_search, list_ensembles, list_members
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import ERROR_RATE, LOG_LOSS


def build_ensemble(
    store: Store,
    searches: Sequence[str],
    *,
    folder: Path,
    options: SelectionOptions | None = None,
    progress: Progress = SILENT,
    name: str | None = None,
) -> Ensemble:
    """Select from the finished members of one or several searches, and write the submission.

    Everything is read from the record, and the dataset's sample submission and images if they exist. The
    ensemble becomes the current one of the first search unless that is better, or cannot be compared.

    Args:
        store: The record.
        searches: Names of the searches; the ensemble is recorded under the first.
        folder: Folder of the first search, created if missing; the ensemble gets the folder
            `ensembles/NAME` in it.
        options: Metric, method and budgets; None: automatic choice of the method for log loss.
        progress: Receiver of the stages.
        name: Name of the ensemble; None: that of the method and the options.

    Raises:
        InputError: A search is unknown, no member is usable, the options cannot be met, the name is invalid
            or belongs to another ensemble, or the submission does not match the sample submission.
    """
    started = time.time()
    options, searches = options or SelectionOptions(), tuple(dict.fromkeys(searches))
    progress.stage("reading the members' predictions")
    if name is not None:
        check_name(name, "ensemble")
    recorded = [get_search(store, name) for name in searches]
    _refuse_refits(recorded)
    pool = load_pool(store, searches)
    if not any(view.search == searches[0] for view in pool.views):
        raise InputError(_nothing(searches, pool))
    # The matrix products are small: more threads are no faster, and would change the order of the sums.
    with threadpool_limits(1):
        ensemble = _choose(pool, options, progress)
    with ensembles_lock(folder) as ensembles:
        ensemble = _named(store, ensemble, searches, options, given=name, folder=ensembles)
        with new_folder(ensemble.folder) as unfinished:
            _write(ensemble, searches, recorded[0], unfinished)
            progress.stage("drawing the figures and writing the report")
            _illustrate(store, ensemble, recorded, options, unfinished)
        progress.stage("recording the ensemble in MLflow")
        before = current_ensemble(store, searches[0])
        ensemble = replace(ensemble, run_id=_record(store, ensemble, searches, options, started=started))
        return replace(ensemble, standing=rank(store, ensemble.run_id, before, folder))


def _named(
    store: Store,
    ensemble: Ensemble,
    searches: Sequence[str],
    options: SelectionOptions,
    *,
    given: str | None,
    folder: Path,
) -> Ensemble:
    """Return the ensemble with its name and its folder."""
    name = choose_name(
        proposed_name(ensemble.selection, options, searches),
        selection_digest(describe(ensemble, searches)),
        given=given,
        recorded=list_ensembles(store, searches[0]),
        folder=folder,
    )
    return replace(ensemble, name=name, folder=ensemble_folder(folder.parent, name))


def _choose(pool: Pool, options: SelectionOptions, progress: Progress) -> Ensemble:
    fit = make_fit(pool, options)
    progress.stage(f"selecting from {counted(len(pool.views), 'view')}")
    selection = fit_pool(pool, fit)
    progress.stage("estimating the score on new images")
    return Ensemble(
        pool=pool,
        selection=selection,
        assessment=assess_fit(pool, fit, options),
        contributions=marginal_contributions(selection, pool.select, pool.labels, member_groups(pool)),
        redundancies=redundancies(selection, pool.select, pool.labels),
        frontier=find_frontier(pool, selection, options),
        folder=Path(),
    )


def predicted_labels(selection: Selection, probs: NDArray[np.float64], classes: Sequence[str]) -> list[str]:
    """Return the text of the decision for each image; a tie goes to the first class.

    Args:
        selection: Selection that blended the probabilities.
        probs: Probabilities, float64 [images, classes].
        classes: Class names, in the order of the last axis.
    """
    return Task.of(selection.task).decode(selection.decide(probs), classes)


def _nothing(searches: Sequence[str], pool: Pool) -> str:
    names = " and ".join(repr(name) for name in searches)
    reasons = "; ".join(f"{refusal.member}: {refusal.reason}" for refusal in pool.refused[:5])
    return f"{names}: no finished member to select from" + (f" ({reasons})" if reasons else "")


def _write(ensemble: Ensemble, searches: Sequence[str], search: RecordedRun, folder: Path) -> None:
    if ensemble.submission is not None:
        write_checked_submission(ensemble, folder / SUBMISSION_FILE, search)
    write_ensemble(folder, describe(ensemble, searches))


def write_checked_submission(ensemble: Ensemble, path: Path, search: RecordedRun) -> None:
    """Write the submission of an ensemble in the format of its search's dataset.

    Raises:
        InputError: The submission does not match the sample submission; an existing file is kept.
    """
    pool, record = ensemble.pool, SearchRecord.from_run(search)
    form, probs = record.submission(pool.classes), ensemble.selection.blend(pool.test)
    labels = predicted_labels(ensemble.selection, probs, pool.classes)
    unchecked = path.with_name(f"unchecked-{path.name}")
    write_submission(unchecked, pool.test_ids.tolist(), probs, labels, form, classes=pool.classes)
    sample = record.sample_submission
    try:
        if sample.is_file():  # it is missing if the record comes from another machine
            check_submission(unchecked, sample, pool.classes, form)
        unchecked.replace(path)
    finally:
        unchecked.unlink(missing_ok=True)


def _refuse_refits(searches: Sequence[RecordedRun]) -> None:
    """Refuse to select from members that have seen the select split."""
    for search in searches:
        before = ", ".join(SearchRecord.from_run(search).refit_of)
        if before:
            raise InputError(
                f"search {search.name!r} is a refit, whose members have seen the select split: "
                f"select from {before}"
            )


def write_pages(
    store: Store,
    searches: Sequence[str],
    pool: Pool,
    selection: Selection,
    assessment: Assessment | None,
    *,
    folder: Path,
    options: SelectionOptions,
) -> Path:
    """Write the figures and the report of an ensemble that is not recorded; return the path of the page.

    Args:
        store: The record.
        searches: Names of the pool's searches.
        pool: Pool that the ensemble was selected from.
        selection: Ensemble weights.
        assessment: Cross-fitted score, or None.
        folder: Output folder; created if missing.
        options: Options of the selection.

    Raises:
        InputError: A search is unknown.
    """
    ensemble = Ensemble(
        pool=pool,
        selection=selection,
        assessment=assessment,
        contributions=marginal_contributions(selection, pool.select, pool.labels, member_groups(pool)),
        redundancies=redundancies(selection, pool.select, pool.labels),
        frontier=find_frontier(pool, selection, options),
        folder=folder,
    )
    folder.mkdir(parents=True, exist_ok=True)
    _illustrate(store, ensemble, [get_search(store, name) for name in searches], options, folder)
    return folder / REPORT


def _illustrate(
    store: Store,
    ensemble: Ensemble,
    searches: Sequence[RecordedRun],
    options: SelectionOptions,
    folder: Path,
) -> None:
    """Draw the figures and write the report."""
    # Importing matplotlib takes half a second: errors before this point must not wait for it.
    from tune_paddy.ensemble.reports.figures import draw_figures, write_figures  # noqa: PLC0415
    from tune_paddy.ensemble.reports.page.drawing import draw_page  # noqa: PLC0415
    from tune_paddy.ensemble.reports.trial_figures import draw_trials  # noqa: PLC0415

    members = [member for search in searches for member in list_members(store, search.name)]
    figures = draw_figures(ensemble.pool, ensemble.selection, ensemble.assessment, ensemble.frontier)
    figures |= draw_trials(store, searches, members, member_weights(ensemble))
    write_figures(figures, folder / FIGURES)
    space = read_text_of_search(store, searches[0], SPACE_FILE)
    sources = Sources(searches, members, options, space, store.tracking_uri)
    gains = find_gains(ensemble, options)
    write_report(folder / REPORT, ensemble, sources, draw_page(store, sources, figures, gains), gains)


def describe(ensemble: Ensemble, searches: Sequence[str]) -> dict[str, Any]:
    """Return the content of an ensemble's `ensemble.json`."""
    content = ensemble_content(ensemble.pool, ensemble.selection, searches, ensemble.assessment)
    known = {
        run_id: value for run_id, value in member_contributions(ensemble).items() if math.isfinite(value)
    }
    return {"name": ensemble.name, **content, "contributions": known}


def _record(
    store: Store,
    ensemble: Ensemble,
    searches: Sequence[str],
    options: SelectionOptions,
    *,
    started: float,
) -> str:
    selection, assessment = ensemble.selection, ensemble.assessment
    key = metric_key(selection.metric)
    metrics = {f"ensemble_select_{key}": selection.score}
    if assessment is not None:
        metrics[f"ensemble_{key}"] = assessment.estimate.score
        metrics[f"ensemble_{key}_low"] = assessment.estimate.low
        metrics[f"ensemble_{key}_high"] = assessment.estimate.high
        # The names are those of the members' metrics, so that one column of the table compares all runs.
        metrics[LOG_LOSS] = log_loss(assessment.predictions, ensemble.pool.labels)
        metrics[ERROR_RATE] = error_rate(assessment.decisions, ensemble.pool.labels)
    return log_ensemble(
        store,
        search=searches[0],
        name=ensemble.name,
        selection_dict=describe(ensemble, searches),
        files=[ensemble.folder / name for name in FILES if (ensemble.folder / name).exists()],
        metrics=metrics,
        params={"method": selection.method, "metric": selection.metric, "searches": ", ".join(searches)},
        description=describe_ensemble(ensemble, searches, options),
        started=started,
    )
