"""Build an ensemble from finished members: load the pool, select, blend, write and record."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tune_paddy.core.errors import InputError
from tune_paddy.core.explain import marginal_contributions, redundancies
from tune_paddy.core.metrics import error_rate, log_loss, metric_key
from tune_paddy.core.predictions import Pool
from tune_paddy.data.ensemble_file import ensemble_content, write_ensemble
from tune_paddy.data.submission import SubmissionFormat, check_submission, write_submission
from tune_paddy.data.system.own_output import mark_output
from tune_paddy.ensemble.ensemble import Ensemble, member_contributions, member_weights
from tune_paddy.ensemble.fit import assess_fit, make_fit, member_groups
from tune_paddy.ensemble.frontier import find_frontier
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.reports.html import REPORT, Sources, write_report
from tune_paddy.ensemble.reports.mlflow import describe_ensemble
from tune_paddy.tracking.ensembles import log_ensemble
from tune_paddy.tracking.files import FIGURES, SPACE_FILE, read_text_of_search
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import RecordedRun, get_search, list_members
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import ERROR_RATE, LOG_LOSS


def build_ensemble(
    store: Store, searches: Sequence[str], *, folder: Path, options: SelectionOptions | None = None
) -> Ensemble:
    """Select from the finished members of one or several searches, and write the submission.

    Everything is read from the record, and the dataset's sample submission and images if they exist.

    Args:
        store: The record.
        searches: Names of the searches; the ensemble is recorded under the first.
        folder: Output folder; created if missing.
        options: Metric, method and budgets; None: automatic choice of the method for log loss.

    Raises:
        InputError: A search is unknown, no member is usable, the options cannot be met, or the submission
            does not match the sample submission.
    """
    options, searches = options or SelectionOptions(), tuple(dict.fromkeys(searches))
    recorded = [get_search(store, name) for name in searches]
    _refuse_refits(recorded)
    pool = load_pool(store, searches)
    own = [view for view in pool.views if len(searches) == 1 or view.member.startswith(f"{searches[0]}:")]
    if not own:
        raise InputError(_nothing(searches, pool))
    # The matrix products are small: more threads are no faster, and would change the order of the sums.
    with threadpool_limits(1):
        ensemble = _choose(pool, options, folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark_output(folder)
    files = _write(ensemble, searches, recorded[0])
    pages = _illustrate(store, ensemble, recorded, options)
    return replace(ensemble, run_id=_record(store, ensemble, searches, options, files=files, pages=pages))


def _choose(pool: Pool, options: SelectionOptions, folder: Path) -> Ensemble:
    fit = make_fit(pool, options)
    selection = fit(pool.select, pool.labels)
    return Ensemble(
        pool=pool,
        selection=selection,
        assessment=assess_fit(pool, fit, options),
        contributions=marginal_contributions(selection, pool.select, pool.labels, member_groups(pool)),
        redundancies=redundancies(selection, pool.select, pool.labels),
        frontier=find_frontier(pool, selection, options),
        folder=folder,
    )


def predicted_labels(probs: NDArray[np.float64], classes: Sequence[str]) -> list[str]:
    """Return the name of the most likely class of each image; a tie goes to the first class.

    Args:
        probs: Probabilities, float64 [images, classes].
        classes: Class names, in the order of the last axis.
    """
    return [classes[index] for index in probs.argmax(axis=1)]


def _nothing(searches: Sequence[str], pool: Pool) -> str:
    names = " and ".join(repr(name) for name in searches)
    reasons = "; ".join(f"{refusal.member}: {refusal.reason}" for refusal in pool.refused[:5])
    return f"{names}: no finished member to select from" + (f" ({reasons})" if reasons else "")


def _write(ensemble: Ensemble, searches: Sequence[str], search: RecordedRun) -> list[Path]:
    files = []
    if ensemble.submission is not None:
        write_checked_submission(ensemble, ensemble.submission, search)
        files.append(ensemble.submission)
    return [*files, write_ensemble(ensemble.folder, describe(ensemble, searches))]


def write_checked_submission(ensemble: Ensemble, path: Path, search: RecordedRun) -> None:
    """Write the submission of an ensemble in the format of its search's dataset.

    Raises:
        InputError: The submission does not match the sample submission; an existing file is kept.
    """
    pool, record = ensemble.pool, SearchRecord.from_run(search)
    form = SubmissionFormat(record.id_column, record.label_column)
    labels = predicted_labels(ensemble.selection.blend(pool.test), pool.classes)
    unchecked = path.with_name(f"unchecked-{path.name}")
    write_submission(unchecked, pool.test_ids.tolist(), labels, form)
    sample = record.sample_submission
    try:
        if sample.is_file():  # it is missing if the record comes from another machine
            check_submission(unchecked, sample, pool.classes)
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


def _illustrate(
    store: Store, ensemble: Ensemble, searches: Sequence[RecordedRun], options: SelectionOptions
) -> list[Path]:
    """Draw the figures and write the report; return the folder and the page."""
    # Importing matplotlib takes half a second: errors before this point must not wait for it.
    from tune_paddy.ensemble.reports.figures import draw_figures, write_figures  # noqa: PLC0415
    from tune_paddy.ensemble.reports.trial_figures import draw_trials, shown_figures  # noqa: PLC0415

    members = [member for search in searches for member in list_members(store, search.name)]
    folder, report = ensemble.folder / FIGURES, ensemble.folder / REPORT
    figures = draw_figures(ensemble.pool, ensemble.selection, ensemble.assessment, ensemble.frontier)
    write_figures(figures | draw_trials(store, searches, members, member_weights(ensemble)), folder)
    sources = Sources(searches, members, options, read_text_of_search(store, searches[0], SPACE_FILE))
    write_report(report, ensemble, sources, shown_figures(folder))
    return [folder, report]


def describe(ensemble: Ensemble, searches: Sequence[str]) -> dict[str, Any]:
    """Return the content of an ensemble's `ensemble.json`."""
    return ensemble_content(ensemble.pool, ensemble.selection, searches, ensemble.assessment)


def _record(
    store: Store,
    ensemble: Ensemble,
    searches: Sequence[str],
    options: SelectionOptions,
    *,
    files: Sequence[Path],
    pages: Sequence[Path],
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
        metrics[ERROR_RATE] = error_rate(assessment.predictions, ensemble.pool.labels)
    return log_ensemble(
        store,
        search=searches[0],
        selection_dict=describe(ensemble, searches),
        files=[*files, *pages],
        metrics=metrics,
        params={"method": selection.method, "metric": selection.metric, "searches": ", ".join(searches)},
        weights=member_weights(ensemble),
        contributions=member_contributions(ensemble),
        description=describe_ensemble(ensemble, searches, options),
        search_files=pages,
    )
