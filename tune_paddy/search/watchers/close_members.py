"""Close members whose process could not do it, and remove leftover files."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.patience import impatient
from tune_paddy.search.stopping.stall_watch import stall_reason
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.files import remove_partial_files
from tune_paddy.tracking.members import RESUMABLE, Failure, end_member, fail_member, start_member
from tune_paddy.tracking.runs import list_members
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.shelf import Shelf


def sweep(store: Store, search: str, shelf: Shelf) -> None:
    """Remove partial files of killed processes, and checkpoints of members that cannot be resumed.

    Args:
        store: The record.
        search: Name of the search; none of its trials may be running.
        shelf: Files of the members.
    """
    files = _looked(shelf)
    for member in list_members(store, search):
        try:
            with impatient():
                remove = files.remove_leftovers if member.outcome in RESUMABLE else files.remove_checkpoints
                remove(member.name)
        except TunePaddyError:
            files = shelf.here
        remove_partial_files(member.artifact_uri)


def _looked(shelf: Shelf) -> Shelf:
    """Return the files by one listing of the storage; those on this machine alone if it fails.

    A storage that fails now costs space alone.
    """
    try:
        with impatient():
            return shelf.look()
    except TunePaddyError:
        return shelf.here


class MemberCloser:
    """Ends members in the record as soon as Ray gives them up; removes checkpoints that have no use.

    A trial that ends by itself records its own end. This class handles trials that the scheduler or the user
    stops, and those whose process died more often than `retries` allows.

    Args:
        store: The record.
        search: Name of the search.
        parent_run_id: MLflow run of the search.
        folder: Folder in which trials on this machine work; each member has its own folder in it.
        shelf: Files of the members.
    """

    def __init__(self, store: Store, search: str, parent_run_id: str, folder: Path, shelf: Shelf) -> None:
        self._store, self._search, self._parent = store, search, parent_run_id
        self._folder, self._shelf = folder, shelf

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
        # The end of the search closes it anyway, as one that can be resumed.
        with suppress(TunePaddyError, OSError):
            self._end(trial, reason, kind)
            if kind not in RESUMABLE:
                self._shelf.remove_checkpoints(trial.member)

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
