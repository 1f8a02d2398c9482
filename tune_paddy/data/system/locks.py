"""Locks of files, which the operating system releases however their process ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.text import shown


@contextmanager
def file_lock(path: Path, *, seconds: float = -1) -> Iterator[None]:
    """Hold the lock of a file while the block runs; the file is created with mode 0600.

    Args:
        path: Path of the file, in an existing folder.
        seconds: Longest wait for another process; -1: without end.

    Raises:
        filelock.Timeout: Another process holds the lock.
        TunePaddyError: The file system has no locks, or the file cannot be written.
    """
    lock = FileLock(path, timeout=seconds, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or "its file system has no locks"
        raise TunePaddyError(
            f"{shown(path)}: cannot be locked: {reason}; put the folder on a disk that this user can write "
            "and that supports locks"
        ) from error
    try:
        yield
    finally:
        lock.release()
