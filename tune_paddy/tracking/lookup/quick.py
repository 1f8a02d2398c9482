"""Check names in a local database without MLflow, whose import takes a second of CPU time."""

import sqlite3
import urllib.parse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tune_paddy.data.system.text import redact
from tune_paddy.tracking.lookup.ensembles import SHORTEST
from tune_paddy.tracking.lookup.names import deleted_search, unknown_ensemble, unknown_search
from tune_paddy.tracking.runs import ensemble_name
from tune_paddy.tracking.schema import ENSEMBLE, KIND, PARENT, SEARCH
from tune_paddy.tracking.store import resolve_uri, sqlite_path

_RUNS = """
    SELECT runs.run_uuid, runs.name, {tag}.value
    FROM runs
    JOIN experiments USING (experiment_id)
    JOIN tags kind ON kind.run_uuid = runs.run_uuid AND kind."key" = ? AND kind.value = ?
    {joins}
    WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
"""
_SEARCHES = _RUNS.format(
    tag="search", joins='JOIN tags search ON search.run_uuid = runs.run_uuid AND search."key" = ?'
)
_DELETED = """
    SELECT search.value, experiments.name, experiments.experiment_id
    FROM runs
    JOIN experiments USING (experiment_id)
    JOIN tags kind ON kind.run_uuid = runs.run_uuid AND kind."key" = ? AND kind.value = ?
    JOIN tags search ON search.run_uuid = runs.run_uuid AND search."key" = ? AND search.value = ?
    WHERE experiments.lifecycle_stage != 'active'
"""
_ENSEMBLES = _RUNS.format(
    tag="own",
    joins="""
    JOIN tags parent ON parent.run_uuid = runs.run_uuid AND parent."key" = ? AND parent.value = ?
    LEFT JOIN tags own ON own.run_uuid = runs.run_uuid AND own."key" = ?
    """,
)


def check_names(tracking_uri: str | None, searches: Sequence[str], ensemble: str | None = None) -> None:
    """Refuse unknown names at once if the record is an SQLite database; otherwise do nothing.

    A database that cannot be read is left to `open_store`, which says why.

    Args:
        tracking_uri: Address of the record; None: `mlflow.db` in the working folder.
        searches: Names of searches.
        ensemble: Name of an ensemble of the first search, or its run id, or the beginning of the id; None:
            none is asked for.

    Raises:
        InputError: A name is unknown, and the message lists similar names; or a search was deleted.
    """
    uri = resolve_uri(tracking_uri)
    path = sqlite_path(uri)
    if path is None or not path.is_file():
        return
    try:
        known = _rows(path, _SEARCHES, KIND, "search", SEARCH)
        runs = {name: run_id for run_id, _, name in known}
        unknown = [name for name in searches if name not in runs]
        deleted = _rows(path, _DELETED, KIND, "search", SEARCH, unknown[0]) if unknown else []
        found = [] if unknown or ensemble is None else _ensembles(path, runs[searches[0]])
    except sqlite3.Error:
        return
    if deleted:
        name, experiment, number = deleted[0]
        raise deleted_search(name, experiment, str(number))
    if unknown:
        raise unknown_search(unknown[0], runs, redact(uri))
    if ensemble is not None and not any(_is_named(ensemble, *each) for each in found):
        raise unknown_ensemble(ensemble, [name for _, name in found], searches[0])


def _ensembles(path: Path, search_id: str) -> list[tuple[str, str]]:
    """Return run id and name of each ensemble of a search."""
    rows = _rows(path, _ENSEMBLES, KIND, "ensemble", PARENT, search_id, ENSEMBLE)
    return [(run_id, ensemble_name(tag or "", run_name or "")) for run_id, run_name, tag in rows]


def _is_named(wanted: str, run_id: str, name: str) -> bool:
    return wanted == name or (len(wanted) >= SHORTEST and run_id.startswith(wanted))


def _rows(path: Path, query: str, *values: str) -> list[tuple[str, str, str]]:
    address = f"file:{urllib.parse.quote(str(path))}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=5)) as database:
        return database.execute(query, values).fetchall()
