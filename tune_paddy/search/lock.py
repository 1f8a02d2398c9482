"""One process per search."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import Timeout

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.files import make_private_folder
from tune_paddy.data.system.locks import file_lock
from tune_paddy.data.system.own_output import MARKER, mark_output
from tune_paddy.tracking.names import LOCK


@contextmanager
def search_lock(folder: Path, name: str) -> Iterator[None]:
    """Hold the search's lock while the block runs; the system releases it when the process ends.

    Args:
        folder: Folder of the search, created if missing; removed afterwards if it has no other file.
        name: Name of the search.

    Raises:
        InputError: Another process holds the lock.
        TunePaddyError: The file system has no locks.
    """
    make_private_folder(folder)
    mark_output(folder)
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock(folder / LOCK, seconds=0))
        except Timeout:
            raise InputError(
                f"search {name!r} is running in another process: wait for it, or stop it with Ctrl-C or "
                "SIGTERM and resume it"
            ) from None
        try:
            yield
        finally:
            with suppress(FileNotFoundError):  # somebody removed the folder meanwhile
                if {path.name for path in folder.iterdir()} <= {
                    LOCK,
                    MARKER,
                }:  # the name stays free
                    shutil.rmtree(folder)
