"""Files of the members of a search: in its folder on this machine, and in its storage if it has one."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from tune_paddy.data.storage.storage import Stamp, Storage
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

_Files = Mapping[str, Stamp]


class Shelf:
    """Files of the members of a search.

    Args:
        folder: Folder of all members on this machine; each has its own folder in it.
        storage: Folder of all members in the search's storage; None: it has none.
        listed: Files of each member in the storage, as `look` found them; None: each call lists them.
    """

    def __init__(
        self, folder: Path, storage: Storage | None = None, *, listed: Mapping[str, _Files] | None = None
    ) -> None:
        self._folder, self._storage, self._listed = folder, storage, listed

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

    @property
    def here(self) -> "Shelf":
        """The files on this machine alone."""
        return Shelf(self._folder)

    def look(self) -> "Shelf":
        """Return the same files with one listing of the storage, for calls about many members.

        Raises:
            TunePaddyError: The storage failed.
        """
        if self._storage is None:
            return self
        listed: dict[str, dict[str, Stamp]] = {}
        for path, stamp in self._storage.files().items():
            member, _, name = path.partition("/")
            listed.setdefault(member, {})[name] = stamp
        return Shelf(self._folder, self._storage, listed=listed)

    def weights_bytes(self, members: Iterable[str]) -> dict[str, int]:
        """Return the size of each member's weights files, including its folds', in bytes; 0: it has none.

        Raises:
            TunePaddyError: The storage failed.
        """
        looked = self if self._listed is not None else self.look()
        return {member: looked._bytes(member) for member in members}

    def remove_weights(self, member: str) -> None:
        """Remove a member's weights files, the configurations first, so a folder that has one is complete.

        Raises:
            OSError: A file on this machine cannot be removed.
            TunePaddyError: The storage failed.
        """
        remove_weights(self._folder / member)
        self._remove_stored(member, CONFIG, WEIGHTS, AVERAGE)

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
        lacking = [folder for folder in folders if missing_files(folder, average=average)]
        known = self._stored(member) if lacking else {}
        for folder in lacking:
            inside = "" if folder.name == member else f"{folder.name}/"
            for name in (WEIGHTS, AVERAGE, CONFIG):
                if inside + name in known:
                    self._storage.folder(member).download(inside + name, folder / name)

    def _bytes(self, member: str) -> int:
        stored = self._stored(member).items()
        sizes = [stamp.size for path, stamp in stored if PurePosixPath(path).name in (WEIGHTS, AVERAGE)]
        return weights_bytes(self._folder / member) + sum(sizes)

    def _remove_stored(self, member: str, *patterns: str) -> None:
        """Remove a member's files in the storage, those of the first pattern first."""
        if self._storage is None:
            return
        stored, known = self._storage.folder(member), self._stored(member)
        for pattern in patterns:
            for name in known:
                if fnmatch(PurePosixPath(name).name, pattern):
                    stored.remove(name)

    def _stored(self, member: str) -> _Files:
        """Return a member's files in the storage: path below its folder → stamp."""
        if self._listed is not None:
            return self._listed.get(member, {})
        return {} if self._storage is None else self._storage.folder(member).files()


def members_in(settings: Mapping[str, object] | None, search: str) -> Storage | None:
    """Return the folder of a search's members in its storage; None: it has none.

    Raises:
        InputError: The address of the storage is invalid.
    """
    address = (settings or {}).get("storage")
    return Storage.at(address).folder(search, MEMBERS) if isinstance(address, str) else None
