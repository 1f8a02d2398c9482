"""Temporary folders that a process owns, and removal of those whose process was killed.

The owner holds the lock of a file in its folder; the system releases it however the process ends.
Only folders whose file holds the text of this program are removed: a folder of the user may have any name.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PREFIX = "tune_paddy~"
"""Prefix of the folders' names."""

UNFINISHED = f".{PREFIX}"
"""Prefix of a folder for unfinished results, beside their place."""

OWNER = ".owned"
"""Name of the file in a folder whose lock the owner holds."""

OWNER_TEXT = b"tune_paddy removes this folder when no process holds the lock of this file.\n"
"""Content of that file."""


@contextmanager
def owned_folder(parent: Path | None = None, *, prefix: str = PREFIX, kept: bool = False) -> Iterator[Path]:
    """Yield a new folder of mode 0700, and remove it with all its files afterwards, unless it is kept.

    Args:
        parent: Folder to create it in; None: the system's folder for temporary files.
        prefix: Prefix of its name; it ends with `PREFIX`, so that `sweep` finds it.
        kept: Whether it stays, and is never swept.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    if kept:
        yield folder
        return
    with ExitStack() as stack:
        with suppress(OSError, NotImplementedError):  # a file system without locks: a killed owner's stays
            _own(folder, stack)
        try:
            yield folder
        finally:
            stack.close()
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


def _own(folder: Path, stack: ExitStack) -> None:
    """Hold the lock of a folder's file, and write its text afterwards: nobody sweeps a folder without it."""
    from tune_paddy.data.system.locks import system_lock  # noqa: PLC0415 slow; every command sweeps

    stack.enter_context(system_lock(folder / OWNER, seconds=0, mode=0o600))
    (folder / OWNER).write_bytes(OWNER_TEXT)


def _is_mine(folder: Path) -> bool:
    """Return whether a path is a folder that this program made for this user, not a link to one."""
    found = folder.lstat()
    private = os.name == "nt" or (found.st_uid == os.getuid() and not found.st_mode & 0o077)
    owner = folder / OWNER
    return private and folder.is_dir() and not folder.is_symlink() and _is_marked(owner)


def _is_marked(owner: Path) -> bool:
    if owner.is_symlink() or not owner.is_file():
        return False
    with owner.open("rb") as file:
        return file.read(len(OWNER_TEXT) + 1) == OWNER_TEXT


def _remove_if_left(folder: Path) -> None:
    from tune_paddy.data.system.locks import system_lock  # noqa: PLC0415 only if there is a folder

    with system_lock(folder / OWNER, seconds=0, mode=0o600):
        shutil.rmtree(folder, ignore_errors=True)
