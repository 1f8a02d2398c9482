"""Files of the members of a search: in its folder on this machine, and in its storage if it has one."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from tune_paddy.data.storage.storage import Storage
from tune_paddy.training.saved.checkpoint_files import CHECKPOINTS, remove_checkpoints, remove_leftovers
from tune_paddy.training.saved.weight_files import (
    AVERAGE,
    CONFIG,
    WEIGHTS,
    missing_files,
    remove_weights,
    weights_bytes,
)

MEMBERS = "members"
"""Name of the folder of all members, in the folder of a search and in its storage."""


class Shelf:
    """Files of the members of a search.

    Args:
        folder: Folder of all members on this machine; each has its own folder in it.
        storage: Folder of all members in the search's storage; None: it has none.
    """

    def __init__(self, folder: Path, storage: Storage | None = None) -> None:
        self._folder, self._storage = folder, storage

    @classmethod
    def of(cls, search: Path, settings: Mapping[str, object] | None) -> "Shelf":
        """Return the files of a recorded search.

        Args:
            search: Folder of the search on this machine; its name is that of the search.
            settings: Recorded settings; None: they cannot be parsed.

        Raises:
            InputError: The recorded address of the storage is invalid.
        """
        return cls(search / MEMBERS, members_in(settings, search.name))

    @property
    def stored(self) -> bool:
        """Whether the search has a storage."""
        return self._storage is not None

    def weights_bytes(self, members: Iterable[str]) -> dict[str, int]:
        """Return the size of each member's weights files, including its folds', in bytes; 0: it has none.

        Raises:
            TunePaddyError: The storage failed.
        """
        sizes = {member: weights_bytes(self._folder / member) for member in members}
        for name, stamp in self._storage.files().items() if self._storage is not None else ():
            path = PurePosixPath(name)
            if path.parts[0] in sizes and path.name in (WEIGHTS, AVERAGE):
                sizes[path.parts[0]] += stamp.size
        return sizes

    def remove_weights(self, member: str) -> None:
        """Remove a member's weights files, the configurations first, so a folder that has one is complete.

        Raises:
            OSError: A file on this machine cannot be removed.
            TunePaddyError: The storage failed.
        """
        remove_weights(self._folder / member)
        for pattern in (CONFIG, WEIGHTS, AVERAGE):
            self._remove_stored(member, pattern)

    def remove_checkpoints(self, member: str) -> None:
        """Remove a member's checkpoints and the leftovers of a killed process.

        Raises:
            TunePaddyError: The storage failed.
        """
        remove_checkpoints(self._folder / member)
        self._remove_stored(member, CHECKPOINTS)

    def remove_leftovers(self, member: str) -> None:
        """Remove what a killed process of a member has left on this machine; its checkpoints stay."""
        remove_leftovers(self._folder / member)

    def fetch_weights(self, member: str, folders: Iterable[Path], *, average: bool) -> None:
        """Copy the weights files that folders on this machine lack from the storage, if they are there.

        Args:
            member: Name of the member.
            folders: Folder of its model, or of the model of each fold, named as in the storage.
            average: Whether its averaged weights are needed.

        Raises:
            TunePaddyError: The storage or the disk failed.
        """
        if self._storage is None:
            return
        stored = self._storage.folder(member)
        for folder in folders:
            inside = stored if folder.name == member else stored.folder(folder.name)
            if missing_files(folder, average=average):
                known = inside.files()
                for name in (WEIGHTS, AVERAGE, CONFIG):
                    if name in known:
                        inside.download(name, folder / name)

    def _remove_stored(self, member: str, pattern: str) -> None:
        if self._storage is None:
            return
        stored = self._storage.folder(member)
        for name in stored.files():
            if fnmatch(PurePosixPath(name).name, pattern):
                stored.remove(name)


def members_in(settings: Mapping[str, object] | None, search: str) -> Storage | None:
    """Return the folder of a search's members in its storage; None: it has none.

    Raises:
        InputError: The address of the storage is invalid.
    """
    address = (settings or {}).get("storage")
    return Storage.at(address).folder(search, MEMBERS) if isinstance(address, str) else None
