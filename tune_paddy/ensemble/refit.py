"""Write the ensemble of refitted members: the same ensemble weights, a new submission."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tune_paddy.core.metrics import metric_key, metric_label
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection
from tune_paddy.data.ensemble_file import ENSEMBLE_FILE, MAX_MIB, write_ensemble
from tune_paddy.ensemble.build import describe, write_checked_submission
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.folders import FILES, ensembles_lock, new_folder
from tune_paddy.ensemble.naming import choose_name
from tune_paddy.ensemble.switch import rank
from tune_paddy.tracking.client import call
from tune_paddy.tracking.ensembles import log_ensemble, selection_digest
from tune_paddy.tracking.files import SUBMISSION_FILE, read_file
from tune_paddy.tracking.lookup.ensembles import current_ensemble
from tune_paddy.tracking.runs import get_search, list_ensembles, recorded
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
        folder: Folder of the refit's search; the ensemble gets a folder in it, see `build_ensemble`.
        pool: Pool of the refitted members.
        selection: Selection of the original, in the order of the pool's views.
        members: Name of each refitted member → id of the run that trained it before.

    Raises:
        InputError: The submission does not match the sample submission.
    """
    refit = {
        "searches": list(searches),
        "ensemble_run_id": original.run_id,
        "members": dict(members),
        "note": quality_note(store, original, searches),
    }
    blended = replace(original, pool=pool, selection=selection, contributions={}, redundancies={})
    described = {
        **describe(blended, [name]),
        # From the record: an ensemble that was read back has no assessment, but must give the same content.
        "assessment": _recorded_assessment(store, original),
        "contributions": {},
        "refit": refit,
    }
    with ensembles_lock(folder) as ensembles:
        known, digest = list_ensembles(store, name), selection_digest(described)
        described["name"] = choose_name(original.name, digest, given=None, recorded=known, folder=ensembles)
        ensemble = replace(blended, name=described["name"], folder=ensembles / described["name"])
        with new_folder(ensemble.folder) as unfinished:
            if ensemble.submission is not None:
                search = get_search(store, searches[0])
                write_checked_submission(ensemble, unfinished / SUBMISSION_FILE, search)
            write_ensemble(unfinished, described)
        before = current_ensemble(store, name)
        run_id = _record(store, ensemble, name, described, original)
        return replace(ensemble, run_id=run_id, standing=rank(store, run_id, before, folder))


def _recorded_assessment(store: Store, original: Ensemble) -> Any:
    """Return the assessment in the recorded `ensemble.json` of the original, plain JSON."""
    run = recorded(call(store.client.get_run, original.run_id))
    content = read_file(store, run, ENSEMBLE_FILE, most=MAX_MIB, what="an ensemble")
    return json.loads(content).get("assessment")


def _record(
    store: Store, ensemble: Ensemble, search: str, described: Mapping[str, Any], original: Ensemble
) -> str:
    """Record a refitted ensemble; return the id of its run."""
    selection = ensemble.selection
    return log_ensemble(
        store,
        search=search,
        name=ensemble.name,
        selection_dict=described,
        files=[ensemble.folder / name for name in FILES if (ensemble.folder / name).exists()],
        metrics={},
        params={"method": selection.method, "metric": selection.metric, "refit_of": original.run_id},
        description=described["refit"]["note"],
    )


def quality_note(store: Store, original: Ensemble, searches: Sequence[str]) -> str:
    """Return a note on the quality of refitted members: the recorded estimate of the original ensemble.

    Args:
        store: The record.
        original: Ensemble whose members were refitted.
        searches: Names of the searches that it was selected from.

    Raises:
        TunePaddyError: MLflow failed.
    """
    whose = (
        "Refitted members have seen every labelled image: what is known of their quality is the estimate of "
        f"the ensemble selected from {', '.join(searches)} (run {original.run_id})"
    )
    metric, metrics = original.selection.metric, call(store.client.get_run, original.run_id).data.metrics
    names = [f"ensemble_{metric_key(metric)}{end}" for end in ("", "_low", "_high")]
    if any(name not in metrics for name in names):
        return f"{whose}, which has none."
    score, low, high = (metrics[name] for name in names)
    return f"{whose}: {metric_label(metric)} {score:.4f} ({low:.4f} to {high:.4f})."
