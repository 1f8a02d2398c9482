"""A trial's files where machines share no disk: it continues on any of them from its copy in the storage.

A lock on one machine excludes no process of another. The record does: its run names the process that works on
a member, and a process that finds another name there ends without a trace.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.storage.storage import Storage
from tune_paddy.tracking.client import call
from tune_paddy.tracking.context.provenance import this_process
from tune_paddy.tracking.schema import PROCESS
from tune_paddy.tracking.store import Store, sqlite_path
from tune_paddy.tracking.ui.tags import known_tags
from tune_paddy.training.saved.mirror import MemberMirror

OWNER = "search.json"
"""File in a search's folder of the storage that names its run in the record."""


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


def remove_abandoned(members: Path, locks: Path, *, spared: str) -> None:
    """Remove the folders of members whose process was killed on this machine; the storage has their files.

    Args:
        members: Folder of all members on this machine.
        locks: Folder of the members' locks.
        spared: Name of the member whose folder stays.
    """
    for folder in members.iterdir():
        if folder != locks and folder.name != spared and folder.is_dir():
            with suppress(OSError, Timeout), FileLock(locks / folder.name, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)


def claim(storage: Storage, run_id: str) -> None:
    """Note in a search's folder of the storage which run it belongs to.

    Args:
        storage: Folder of the search in the storage.
        run_id: Run of the search in the record.

    Raises:
        InputError: The folder belongs to a search of another record.
        TunePaddyError: The storage failed.
    """
    known = storage.read(OWNER)
    if known is None:
        storage.write(OWNER, json.dumps({"run": run_id}).encode())
    elif _owner(known) != run_id:
        raise InputError(
            f"storage: {storage} has the files of another search of this name; choose another name or "
            "storage, or remove that folder",
            options=("storage",),
        )


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


def _owner(content: bytes) -> object:
    try:
        return json.loads(content)["run"]
    except (ValueError, KeyError, TypeError):
        return None


def _require_owned(store: Store, run_id: str) -> None:
    tags = known_tags(call(store.client.get_run, run_id).data.tags)
    if tags.get(PROCESS) != this_process():
        raise TakenOverError(
            f"another process trains this member now: {tags.get(PROCESS)}; this one ends without a result"
        )
