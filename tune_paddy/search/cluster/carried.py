"""A trial's files where machines share no disk: it continues on any of them from its copy in the storage.

A lock on one machine excludes no process of another. The record does: its run names the process that works on
a member, and a process that finds another name there ends without a trace.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.storage.storage import Storage
from tune_paddy.data.system.patience import impatient
from tune_paddy.tracking.client import call
from tune_paddy.tracking.context.provenance import this_process
from tune_paddy.tracking.members import has_ended
from tune_paddy.tracking.schema import PROCESS
from tune_paddy.tracking.store import Store, sqlite_path
from tune_paddy.tracking.ui.tags import known_tags
from tune_paddy.training.saved.mirror import MemberMirror


class TakenOverError(TunePaddyError):
    """Another process trains the member now."""


@contextmanager
def carried_files(
    folder: Path, copy: Storage | None, store: Store, run_id: str
) -> Iterator[Callable[[], None]]:
    """Continue a member from its copy in the storage, and remove its folder on this machine afterwards.

    The folder stays if the copy is older, so that a retry on this machine loses nothing.

    Args:
        folder: Folder of the member on this machine.
        copy: Folder of the member in the storage; None: the folder is all there is, and it stays.
        store: The record.
        run_id: Run of the member, which this process has opened.

    Yields:
        Function that brings the copy up to date; it raises `TakenOverError` if the run names another process.

    Raises:
        TunePaddyError: The storage, the disk or the record failed.
    """
    if copy is None:
        yield lambda: None
        return
    folder.mkdir(parents=True, exist_ok=True)
    mirror, behind = MemberMirror(folder, copy), False
    mirror.pull()

    def push() -> None:
        nonlocal behind
        behind = True
        _require_owned(store, run_id)
        mirror.push()
        behind = False

    try:
        yield push
    finally:
        if not behind:
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(
    members: Path, locks: Path, *, spared: str, copies: Storage, store: Store, parent_run_id: str
) -> None:
    """Remove the folders of members whose process was killed on this machine.

    A folder that is further than its copy stays until the member ends or its copy is as far: the storage may
    have failed, and a retry of the member on this machine continues from it.

    Args:
        members: Folder of all members on this machine.
        locks: Folder of the members' locks.
        spared: Name of the member whose folder stays.
        copies: Folder of all members in the storage.
        store: The record.
        parent_run_id: Run of the search.
    """

    def is_needed(folder: Path) -> bool:
        try:
            ahead = MemberMirror(folder, copies.folder(folder.name)).is_ahead()
            return ahead and not has_ended(store, parent_run_id, folder.name)
        except TunePaddyError:  # the storage or the record fails now
            return True

    others = [folder for folder in members.iterdir() if folder != locks and folder.name != spared]
    with impatient():  # a trial of the member would wait for the lock meanwhile
        for folder in filter(Path.is_dir, others):
            with suppress(OSError, Timeout), FileLock(locks / folder.name, timeout=0):
                if not is_needed(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def require_server(tracking_uri: str) -> None:
    """Refuse a record that trials on other machines cannot write.

    Raises:
        InputError: The record is a file of this machine.
    """
    if sqlite_path(tracking_uri) is not None:
        raise InputError(
            f"tracking_uri: {tracking_uri} is a file of this machine, which trials on other machines cannot "
            "write; start `mlflow server`, and give its address",
            options=("tracking_uri",),
        )


def _require_owned(store: Store, run_id: str) -> None:
    tags = known_tags(call(store.client.get_run, run_id).data.tags)
    if tags.get(PROCESS) != this_process():
        raise TakenOverError(
            f"another process trains this member now: {tags.get(PROCESS)}; this one ends without a result"
        )
