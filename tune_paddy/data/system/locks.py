"""Locks of files, which the operating system releases however their process ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.text import shown

_GROUP_WRITES = 0o020


@contextmanager
def file_lock(path: Path, *, seconds: float = -1) -> Iterator[None]:
    """Hold the lock of a file while the block runs.

    The file is created with mode 0600, or 0660 in a folder that a group may write.

    Args:
        path: Path of the file, in an existing folder.
        seconds: Longest wait for another process; -1: without end.

    Raises:
        filelock.Timeout: Another process holds the lock.
        TunePaddyError: The file system has no locks, or the file cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(system_lock(path, seconds=seconds, mode=_mode_in(path.parent)))
        except Timeout:
            raise
        except (OSError, NotImplementedError) as error:
            raise _failure(path, error) from error
        yield


@contextmanager
def system_lock(path: Path, *, seconds: float, mode: int) -> Iterator[None]:
    """Hold the lock of a file while the block runs; it is always one of the operating system.

    Args:
        path: Path of the file, in an existing folder.
        seconds: Longest wait for another process; -1: without end.
        mode: Mode of a new file.

    Raises:
        filelock.Timeout: Another process holds the lock.
        OSError: The file cannot be opened or locked.
        NotImplementedError: The file system has no locks.
    """
    lock: BaseFileLock = FileLock(path, timeout=seconds, mode=mode)
    lock.acquire()
    try:
        if isinstance(lock, SoftFileLock):  # filelock's replacement of a missing flock outlives its process
            raise NotImplementedError
        yield
    finally:
        lock.release()


def _mode_in(folder: Path) -> int:
    return 0o660 if folder.stat().st_mode & _GROUP_WRITES else 0o600


def _failure(path: Path, error: Exception) -> TunePaddyError:
    if isinstance(error, PermissionError):
        return TunePaddyError(
            f"{shown(path)}: cannot be locked: this user may not write it: its owner can allow that with "
            f"`chmod g+rw {quote(shown(path))}`"
        )
    reason = getattr(error, "strerror", None) or "its file system has no locks"
    return TunePaddyError(
        f"{shown(path)}: cannot be locked: {reason}; put the folder on a disk that this user can write "
        "and that supports locks"
    )
