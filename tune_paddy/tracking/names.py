"""Names of new searches: free in the record, and free on the disk."""

import itertools
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.tracking.runs import check_name, list_searches
from tune_paddy.tracking.store import Store

LOCK = ".lock"
"""File in a search's folder that the process which runs it has locked."""


def require_free(name: str, runs: Path, store: Store | None = None) -> str:
    """Return a name that a person chose, if no search has it.

    Args:
        name: Of the new search.
        runs: Folder that would get one of this name.
        store: The record; None: only the folder is looked at.

    Raises:
        InputError: It cannot be a name, or is taken.
    """
    if _has_files(runs / check_name(name, "search")):
        raise InputError(
            f"there is a search {name!r} in {runs}; choose another `name`, or remove its folder",
            options=("name",),
        )
    if store is not None and name in _recorded(store):
        raise InputError(f"{store.address} has a search {name!r}; choose another `name`", options=("name",))
    return name


def free_name(prefix: str, runs: Path, store: Store | None = None) -> str:
    """The first of PREFIX-1, PREFIX-2, … that no search has.

    Args:
        prefix: Such as the name of the space.
        runs: Folder with one for each search.
        store: The record, which may know of searches whose files are elsewhere; None: not asked.
    """
    taken = _recorded(store) if store is not None else set()
    names = (f"{prefix}-{number}" for number in itertools.count(1))
    return next(name for name in names if name not in taken and not (runs / name).exists())


def _has_files(folder: Path) -> bool:
    """Whether a folder holds more than the lock of a search that never began."""
    return folder.exists() and any(path.name != LOCK for path in folder.iterdir())


def _recorded(store: Store) -> set[str]:
    return {search.name for search in list_searches(store)}
