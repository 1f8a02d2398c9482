"""Names of new searches, not taken in the record or on the disk."""

import itertools
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.own_output import MARKER
from tune_paddy.tracking.files import SPACE_FILE, TARGETS_FILE
from tune_paddy.tracking.runs import check_name, list_searches
from tune_paddy.tracking.store import Store

LOCK = ".lock"
"""Lock file in a search's folder, held by the process that runs the search."""

_BEFORE_THE_RUN = frozenset((LOCK, MARKER, SPACE_FILE, TARGETS_FILE))
"""Files that a search's folder has before the search has a run."""


@dataclass(frozen=True)
class Naming:
    """Choice of the name of a new search.

    Attributes:
        runs: Folder with one subfolder per search.
        given: Name that the user chose; None: the first free name of PREFIX-1, PREFIX-2, ….
        prefix: Prefix of a name that is not given; None: the name of the space.
    """

    runs: Path
    given: str | None = None
    prefix: str | None = None

    def choose(self, space: str, store: Store | None = None) -> str:
        """Return a name that neither the folder nor the record uses.

        Args:
            space: Name of the search space.
            store: The record; None: check only the folder.

        Raises:
            InputError: The given name is not valid or is taken.
        """
        if self.given is not None:
            return require_free(self.given, self.runs, store)
        return free_name(self.prefix or space, self.runs, store)


def require_free(name: str, runs: Path, store: Store | None = None) -> str:
    """Return the name that the user chose, if it is valid and free.

    Args:
        name: Name of the new search.
        runs: Folder with one subfolder per search.
        store: The record; None: check only the folder.

    Raises:
        InputError: The name is not valid, or is taken.
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
    """Return the first free name of PREFIX-1, PREFIX-2, ….

    Args:
        prefix: Prefix, such as the name of the space.
        runs: Folder with one subfolder per search.
        store: The record, which may have searches whose files are elsewhere; None: check only the folder.
    """
    taken = _recorded(store) if store is not None else set()
    names = (f"{prefix}-{number}" for number in itertools.count(1))
    return next(name for name in names if name not in taken and not (runs / name).exists())


def _has_files(folder: Path) -> bool:
    """Whether a folder holds more than the files of a search that never began."""
    return folder.exists() and not {path.name for path in folder.iterdir()} <= _BEFORE_THE_RUN


def _recorded(store: Store) -> set[str]:
    return {search.name for search in list_searches(store)}
