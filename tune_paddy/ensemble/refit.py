"""The ensemble of members trained again on all labelled images: the same weights, a new submission."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tune_paddy.core.metrics import metric_label
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection
from tune_paddy.data.ensemble_file import write_ensemble
from tune_paddy.ensemble.build import describe, write_checked_submission
from tune_paddy.ensemble.ensemble import Ensemble, member_weights
from tune_paddy.tracking.ensembles import log_ensemble
from tune_paddy.tracking.runs import get_search
from tune_paddy.tracking.store import Store


def write_refitted(
    store: Store,
    original: Ensemble,
    searches: Sequence[str],
    *,
    name: str,
    folder: Path,
    pool: Pool,
    selection: Selection,
    members: Mapping[str, str],
) -> Ensemble:
    """Blend refitted members with the selection's weights; write and record what comes of it.

    Args:
        store: The record, opened for the refit's experiment.
        original: The ensemble whose members were refitted.
        searches: What it was selected from.
        name: Of the refit's search.
        folder: Where the files go.
        pool: The refitted members.
        selection: The original's, in the order of the pool's views.
        members: Name of each refitted member → the run in which it was trained before.

    Raises:
        InputError: The submission does not fit the sample submission.
    """
    ensemble = replace(
        original, pool=pool, selection=selection, contributions={}, redundancies={}, folder=folder, run_id=""
    )
    note = quality_note(original, searches)
    described = describe(ensemble, [name])
    described["refit"] = {
        "searches": list(searches),
        "ensemble_run_id": original.run_id,
        "members": dict(members),
        "note": note,
    }
    files = [write_ensemble(folder, described)]
    if ensemble.submission is not None:
        write_checked_submission(ensemble, ensemble.submission, get_search(store, searches[0]))
        files.append(ensemble.submission)
    run_id = log_ensemble(
        store,
        search=name,
        selection_dict=described,
        files=files,
        metrics={},
        params={"method": selection.method, "metric": selection.metric, "refit_of": original.run_id},
        weights=member_weights(ensemble),
        description=note,
    )
    return replace(ensemble, run_id=run_id)


def quality_note(original: Ensemble, searches: Sequence[str]) -> str:
    """Say what may be said of the quality of refitted members: what is known of the original ensemble."""
    whose = (
        "Refitted members have seen every labelled image: what is known of their quality is the estimate of "
        f"the ensemble selected from {', '.join(searches)} (run {original.run_id})"
    )
    if original.assessment is None:
        return f"{whose}, which has none."
    estimate = original.assessment.estimate
    numbers = f"{estimate.score:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"
    return f"{whose}: {metric_label(original.selection.metric)} {numbers}."
