"""A member's files in a storage, so that its training can continue on another machine."""

from pathlib import Path, PurePosixPath

from tune_paddy.data.storage.storage import Stamp, Storage
from tune_paddy.training.saved.checkpoint_files import CHECKPOINTS, RESULT
from tune_paddy.training.saved.weight_files import AVERAGE, CONFIG, WEIGHTS

_LATER = {CONFIG: 1, RESULT: 2}
"""Files that say that others are complete, in the order in which they are copied after those."""


class MemberMirror:
    """Keeps the copy of a member's folder in a storage equal to the folder.

    Checkpoints, finished folds and weights are copied. The copy is at most one epoch behind.

    Args:
        folder: Folder of the member on this machine.
        copy: Folder of the member in the storage.
    """

    def __init__(self, folder: Path, copy: Storage) -> None:
        self._folder, self._copy = folder, copy
        self._pushed: dict[str, Stamp] = {}

    def pull(self) -> None:
        """Make the folder equal to its copy, unless the folder is further: then `push` it.

        Raises:
            TunePaddyError: The storage or the disk failed.
        """
        stored, here = self._copy.files(), self._files()
        if _progress(here) > _progress(stored):
            self.push()
            return
        for name in sorted(here, key=_order, reverse=True):
            (self._folder / name).unlink()
        for name in sorted(filter(_is_kept, stored), key=_order):
            self._copy.download(name, self._folder / name)
        self._pushed = self._files()

    def is_ahead(self) -> bool:
        """Return whether the folder is further than its copy.

        Raises:
            TunePaddyError: The storage failed.
        """
        here = _progress(self._files())
        return here > (0, 0) and here > _progress(self._copy.files())

    def push(self) -> None:
        """Copy the files that have changed since the last call, and remove those that are gone.

        Raises:
            TunePaddyError: The storage failed.
        """
        here = self._files()
        for name in sorted(here, key=_order):
            if self._pushed.get(name) != here[name]:
                self._copy.upload(self._folder / name, name)
                self._pushed[name] = here[name]
        gone = filter(_is_kept, self._pushed.keys() | self._copy.files().keys())
        for name in sorted(set(gone).difference(here), key=_order, reverse=True):
            self._copy.remove(name)
            self._pushed.pop(name, None)

    def _files(self) -> dict[str, Stamp]:
        """Return the files of the folder that are copied: path below it → stamp."""
        paths = [*self._folder.glob("*"), *self._folder.glob("fold-*/*")]
        names = [path.relative_to(self._folder).as_posix() for path in paths if path.is_file()]
        stats = {name: (self._folder / name).stat() for name in filter(_is_kept, names)}
        return {name: Stamp(stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}


def _is_kept(name: str) -> bool:
    path = PurePosixPath(name)
    return path.name in (WEIGHTS, AVERAGE, CONFIG, RESULT) or path.match(CHECKPOINTS)


def _order(name: str) -> tuple[int, str]:
    return _LATER.get(PurePosixPath(name).name, 0), name


def _progress(names: dict[str, Stamp]) -> tuple[int, int]:
    """Return the number of finished folds, and that of finished epochs of the next one."""
    return max(map(_reached, names), default=(0, 0))


def _reached(name: str) -> tuple[int, int]:
    path = PurePosixPath(name)
    fold = int(path.parent.name.removeprefix("fold-") or 0)
    if path.name == RESULT:
        return fold + 1, 0
    return fold, int(path.stem.rpartition("-")[2]) if path.match(CHECKPOINTS) else 0
