"""Temporary folders that a process owns, and removal of those whose process was killed.

The owner holds the lock of a file in its folder; the system releases it however the process ends.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "tune_paddy-"
"""Prefix of the folders' names."""

UNFINISHED = f".{PREFIX}"
"""Prefix of a folder for unfinished results, beside their place."""

_OWNED = ".owned"
_ABANDONED_SECONDS = 24 * 3600
"""Age of a folder without an owner's file that nobody uses any more."""


@contextmanager
def owned_folder(parent: Path | None = None, *, prefix: str = PREFIX, kept: bool = False) -> Iterator[Path]:
    """Yield a new folder of mode 0700, and remove it with all its files afterwards, unless it is kept.

    Args:
        parent: Folder to create it in; None: the system's folder for temporary files.
        prefix: Prefix of its name; it ends with `PREFIX`, so that `sweep` finds it.
        kept: Whether it stays; a kept one lies in a folder that is not swept.
    """
    from filelock import FileLock  # noqa: PLC0415 it takes 40 ms, and every command sweeps

    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = FileLock(folder / _OWNED, mode=0o600)
    with suppress(OSError, NotImplementedError):  # a file system without locks: its age protects it
        lock.acquire()
    try:
        yield folder
    finally:
        lock.release()
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path, *, prefix: str = PREFIX) -> None:
    """Remove the folders in `parent` that no process owns any more; skip those of other users."""
    with suppress(OSError):
        for folder in list(parent.glob(f"{prefix}*")):
            with suppress(OSError, NotImplementedError):
                if _is_mine(folder):  # a lock that is held raises an OSError
                    _remove_if_left(folder)


def sweep_usual_places() -> None:
    """Sweep the folder for temporary files and, for unfinished exports, the working folder."""
    with suppress(OSError):  # neither may exist
        sweep(Path(), prefix=UNFINISHED)
        sweep(Path(tempfile.gettempdir()))


def _is_mine(folder: Path) -> bool:
    """Return whether a path is a folder of this user, not a link to one."""
    found = folder.lstat()
    return folder.is_dir() and not folder.is_symlink() and (os.name == "nt" or found.st_uid == os.getuid())


def _remove_if_left(folder: Path) -> None:
    if not (folder / _OWNED).is_file():  # its process has not locked it yet, or an older version made it
        if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
        return
    from filelock import FileLock  # noqa: PLC0415 only if there is a folder

    with FileLock(folder / _OWNED, timeout=0, mode=0o600):
        shutil.rmtree(folder, ignore_errors=True)
