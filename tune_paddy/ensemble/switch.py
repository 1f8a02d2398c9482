"""Make an ensemble the current one of its search: in the record, and in the search's folder."""

import json
from contextlib import suppress
from pathlib import Path

from tune_paddy.data.ensemble_file import ENSEMBLE_FILE, read_ensemble
from tune_paddy.ensemble.folders import (
    ensemble_folder,
    ensembles_lock,
    keep_published,
    publish,
    published_name,
    restore,
)
from tune_paddy.ensemble.reports.html import REPORT
from tune_paddy.ensemble.standing import Standing, compare
from tune_paddy.tracking.client import call
from tune_paddy.tracking.ensembles import make_current, selection_digest
from tune_paddy.tracking.files import FIGURES
from tune_paddy.tracking.lookup.ensembles import get_ensemble
from tune_paddy.tracking.runs import RecordedRun, list_ensembles, recorded
from tune_paddy.tracking.schema import EnsembleRecord, SearchRecord
from tune_paddy.tracking.store import Store

_EARLIER = "earlier"
"""Name of an ensemble that is in the folder of a search, but not in the record."""


def search_folder(search: RecordedRun, runs: Path) -> Path:
    """Return the folder of a search: in the folder of searches, or else where the record says.

    Args:
        search: Run of the search.
        runs: Folder of searches.
    """
    here, recorded = runs / search.name, SearchRecord.from_run(search).folder
    return here if recorded is None or here.is_dir() or not recorded.is_dir() else recorded


def use_ensemble(store: Store, search: str, ensemble: str, folder: Path) -> RecordedRun:
    """Make an ensemble the current one, whatever its score; restore its files if they are not here.

    Args:
        store: The record.
        search: Name of the search.
        ensemble: Name or run id of the ensemble.
        folder: Folder of the search.

    Returns:
        The run of the ensemble.

    Raises:
        InputError: The search or the ensemble is unknown.
        TunePaddyError: A file cannot be written, or MLflow failed.
    """
    run = get_ensemble(store, search, ensemble)
    with ensembles_lock(folder):
        keep_older(store, search, folder)
        show_everywhere(store, run, folder)
    return run


def rank(store: Store, run_id: str, before: RecordedRun | None, folder: Path) -> Standing:
    """Make a new ensemble current if it is at least as good as the current one; the caller holds the lock.

    Args:
        store: The record.
        run_id: Run of the new ensemble.
        before: Run of the current ensemble before the new one was recorded; None: there was none.
        folder: Folder of the search; it gets copies of the files of the current ensemble in any case.

    Raises:
        TunePaddyError: A file cannot be written, or MLflow failed.
    """
    new = recorded(call(store.client.get_run, run_id))
    standing = compare(store, new, before)
    keep_older(store, new.search, folder)
    show_everywhere(store, new if standing.current or before is None else before, folder)
    return standing


def show_everywhere(store: Store, ensemble: RecordedRun, folder: Path) -> None:
    """Make an ensemble current in the record and copy its files; the caller holds the lock.

    Args:
        store: The record.
        ensemble: Run of the ensemble.
        folder: Folder of the search.
    """
    own = folder_of(store, ensemble, folder)
    described = read_ensemble(own / ENSEMBLE_FILE)
    make_current(
        store,
        ensemble,
        weights=described.member_weights,
        contributions=described.member_contributions if described.refit is None else {},
        files=[path for path in (own / FIGURES, own / REPORT) if path.exists()],
    )
    publish(own, folder)


def folder_of(store: Store, ensemble: RecordedRun, folder: Path) -> Path:
    """Return the folder of an ensemble, restored from the record if it is not here.

    Args:
        store: The record.
        ensemble: Run of the ensemble.
        folder: Folder of the search, whose ensembles the caller has locked.

    Raises:
        TunePaddyError: The record lacks the files, or MLflow failed.
    """
    own = ensemble_folder(folder, ensemble.name)
    if not (own / ENSEMBLE_FILE).is_file():
        restore(store, ensemble, own)
    return own


def keep_older(store: Store, search: str, folder: Path) -> None:
    """Give the ensemble that an older version wrote into a search's folder a folder of its own.

    Args:
        store: The record.
        search: Name of the search.
        folder: Folder of the search, whose ensembles the caller has locked.
    """
    if published_name(folder) != "":
        return
    with suppress(OSError, ValueError, AttributeError):  # not an ensemble: it stays where it is
        digest = selection_digest(json.loads((folder / ENSEMBLE_FILE).read_bytes()))
        runs = list_ensembles(store, search)
        known = [run.name for run in runs if EnsembleRecord.from_run(run).selection == digest]
        name = known[0] if known else _EARLIER
        if not ensemble_folder(folder, name).exists():
            keep_published(folder, name)
