"""Close members whose process could not do it, remove leftover files, and record the time used."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.files import make_private_folder
from tune_paddy.search.resuming.history import UNFINISHED
from tune_paddy.search.stall_watch import stall_reason
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.files import remove_partial_files
from tune_paddy.tracking.members import Failure, end_member, fail_member, start_member
from tune_paddy.tracking.names import LOCK
from tune_paddy.tracking.runs import list_members
from tune_paddy.tracking.searches import log_seconds
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.checkpoint_files import remove_checkpoints, remove_leftovers

HEARTBEAT = 15.0
"""Minimum interval between two records of the time used, in seconds."""

KEPT = UNFINISHED | {"failed"}
"""Outcomes of members that can be resumed, and so keep their checkpoints."""


@contextmanager
def only_one(folder: Path, name: str) -> Iterator[None]:
    """Hold the search's lock while the block runs; the system releases it when the process ends.

    Args:
        folder: Folder of the search, created if missing; removed afterwards if it has no other file.
        name: Name of the search.

    Raises:
        InputError: Another process holds the lock.
    """
    make_private_folder(folder)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"search {name!r} is running in another process: wait for it, or stop it with Ctrl-C or "
            "SIGTERM and resume it"
        ) from None
    try:
        yield
    finally:
        if [path.name for path in folder.iterdir()] == [LOCK]:  # nothing started: the name stays free
            shutil.rmtree(folder)
        lock.release()


def sweep(store: Store, search: str, folder: Path) -> None:
    """Remove partial files of killed processes, and checkpoints of members that cannot be resumed.

    Args:
        store: The record.
        search: Name of the search; none of its trials may be running.
        folder: Folder of all members; each has its own folder in it.
    """
    for member in list_members(store, search):
        remove = remove_leftovers if member.outcome in KEPT else remove_checkpoints
        remove(folder / member.name)
        remove_partial_files(member.artifact_uri)


class MemberCloser:
    """Ends members in the record as soon as Ray gives them up; removes checkpoints that have no use.

    A trial that ends by itself records its own end. This class handles trials that the scheduler or the user
    stops, and those whose process died more often than `retries` allows.

    Args:
        store: The record.
        search: Name of the search.
        parent_run_id: MLflow run of the search.
        folder: Folder of all members; each has its own folder in it.
    """

    def __init__(self, store: Store, search: str, parent_run_id: str, folder: Path) -> None:
        self._store, self._search, self._parent, self._folder = store, search, parent_run_id, folder

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:
        """Close a member that Ray has given up."""
        kind: Failure
        if state == "stopped":
            reason, kind = f"stopped by the scheduler after epoch {result.get('epoch', 0)}", "stopped"
        elif state == "interrupted":
            reason, kind = f"interrupted after epoch {result.get('epoch', 0)}", "interrupted"
        elif state == "failed":
            reason, kind = stall_reason(self._folder / trial.member) or str(result["reason"]), "failed"
        else:
            return
        with suppress(TunePaddyError):  # the end of the search closes it anyway
            self._end(trial, reason, kind)
        if kind not in KEPT:
            remove_checkpoints(self._folder / trial.member)

    def _end(self, trial: Trial, reason: str, kind: Failure) -> None:
        if end_member(self._store, self._parent, trial.member, reason, kind) or kind != "failed":
            return
        # The process died before it opened a run: without one, the record would lack the member.
        run_id = start_member(
            self._store,
            search=self._search,
            member=trial.member,
            parent_run_id=self._parent,
            params=trial.params,
            tags=trial.record.to_tags(),
        )
        fail_member(self._store, run_id, reason, kind)


class Stopwatch:
    """Records how long the search has run, over all its sessions.

    Args:
        store: The record.
        parent_run_id: MLflow run of the search.
        before: Duration of all earlier sessions, in seconds.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, store: Store, parent_run_id: str, before: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._parent, self._before, self._clock = store, parent_run_id, before, clock
        self._started = clock()
        self._noted = self._started

    def __enter__(self) -> "Stopwatch":
        return self

    def __exit__(self, *error: object) -> None:
        self._note()

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Record the time if `HEARTBEAT` seconds have passed."""
        if self._clock() - self._noted >= HEARTBEAT:
            self._note()

    def _note(self) -> None:
        self._noted = self._clock()
        with suppress(TunePaddyError):
            log_seconds(self._store, self._parent, self._before + self._noted - self._started)
