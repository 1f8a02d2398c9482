"""Write the ensemble of refitted members: the same ensemble weights, a new submission."""

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
    """Blend refitted members with the original ensemble weights; write and record the ensemble.

    Args:
        store: The record, opened for the refit's experiment.
        original: Ensemble whose members were refitted.
        searches: Names of the searches that the original was selected from.
        name: Name of the refit's search.
        folder: Output folder.
        pool: Pool of the refitted members.
        selection: Selection of the original, in the order of the pool's views.
        members: Name of each refitted member → id of the run that trained it before.

    Raises:
        InputError: The submission does not match the sample submission.
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
    """Return a note on the quality of refitted members: the estimate of the original ensemble."""
    whose = (
        "Refitted members have seen every labelled image: what is known of their quality is the estimate of "
        f"the ensemble selected from {', '.join(searches)} (run {original.run_id})"
    )
    if original.assessment is None:
        return f"{whose}, which has none."
    estimate = original.assessment.estimate
    numbers = f"{estimate.score:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"
    return f"{whose}: {metric_label(original.selection.metric)} {numbers}."
