"""Ensembles of a search by name, and the current one, which commands use unless another is named."""

import shlex
from collections.abc import Sequence

from tune_paddy.core.errors import InputError
from tune_paddy.tracking.lookup.names import unknown_ensemble
from tune_paddy.tracking.runs import RecordedRun, get_search, list_ensembles
from tune_paddy.tracking.schema import EnsembleRecord, SearchRecord
from tune_paddy.tracking.store import Store

SHORTEST = 6
"""Minimum length of the beginning of a run id that names an ensemble; shorter ones may be typing errors."""


def finished_ensembles(store: Store, search: str) -> tuple[RecordedRun, ...]:
    """Return the completely recorded ensembles of a search, oldest first.

    Raises:
        InputError: The search is unknown.
        TunePaddyError: MLflow failed.
    """
    finished = [run for run in list_ensembles(store, search) if run.status == "FINISHED"]
    return tuple(sorted(finished, key=lambda run: (selected_at(run), run.run_id)))


def selected_at(ensemble: RecordedRun) -> float:
    """Return the time of the last selection that gave an ensemble, in seconds since 1970.

    A run that is recorded again keeps its first end.
    """
    return EnsembleRecord.from_run(ensemble).selected_at or ensemble.ended or 0.0


def current_among(search: RecordedRun, ensembles: Sequence[RecordedRun]) -> RecordedRun | None:
    """Return the current ensemble of a search: the one that its tag names, or else the newest.

    Args:
        search: Run of the search.
        ensembles: Its finished ensembles, oldest first.

    Returns:
        The run; None if there is no ensemble. Records of older versions have no tag, and a tagged run may
        have been deleted in MLflow.
    """
    tagged = SearchRecord.from_run(search).current_ensemble
    newest = ensembles[-1] if ensembles else None
    return next((run for run in ensembles if run.run_id == tagged), newest)


def current_ensemble(store: Store, search: str) -> RecordedRun | None:
    """Return the current ensemble of a search, or None.

    Raises:
        InputError: The search is unknown.
        TunePaddyError: MLflow failed.
    """
    return current_among(get_search(store, search), finished_ensembles(store, search))


def get_ensemble(store: Store, search: str, wanted: str | None = None) -> RecordedRun:
    """Return an ensemble of a search.

    Args:
        store: The record.
        search: Name of the search.
        wanted: Name of the ensemble, or its run id, or the beginning of the id; None: the current ensemble.

    Raises:
        InputError: The search or the ensemble is unknown; the message lists similar names.
        TunePaddyError: MLflow failed.
    """
    if wanted is None:
        current = current_ensemble(store, search)
        if current is None:
            remedy = f"`{shlex.join(['tune-paddy', 'select', search])}` creates one"
            raise InputError(f"search {search!r} has no ensemble yet: {remedy}")
        return current
    ensembles = finished_ensembles(store, search)
    found = [run for run in ensembles if run.name == wanted] or [
        run for run in ensembles if len(wanted) >= SHORTEST and run.run_id.startswith(wanted)
    ]
    if not found:
        raise unknown_ensemble(wanted, [run.name for run in ensembles], search)
    return found[-1]
