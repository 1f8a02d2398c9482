"""Record the members of a search: start, epochs, result or failure.

The names of search and member identify a run, so a retried trial reuses its run.
A member is FINISHED only after its predictions are stored; readers may rely on that.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tune_paddy.core.predictions import Predictions
from tune_paddy.tracking.client import call, one_line
from tune_paddy.tracking.context.datasets import pass_on_dataset
from tune_paddy.tracking.context.provenance import (
    SOURCE,
    is_gone,
    this_process,
    user_name,
)
from tune_paddy.tracking.context.reproduction import (
    MEMBER_SPACE,
    describe_member,
    describe_scores,
    member_space,
    with_result,
)
from tune_paddy.tracking.predictions_file import FILE_NAME, write_predictions
from tune_paddy.tracking.runs import (
    ORPHANED,
    RecordedRun,
    check_name,
    find_runs,
    list_members,
    recorded,
)
from tune_paddy.tracking.schema import (
    FAILURE,
    KIND,
    MEMBER,
    NOTE,
    OUTCOME,
    PARENT,
    PROCESS,
    SEARCH,
    MemberRecord,
    SearchRecord,
    prefixed,
)
from tune_paddy.tracking.server.creation import create_run
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.tags import known_tags, stored_tags
from tune_paddy.tracking.writing import (
    delete_tag,
    finish_run,
    log_at_step,
    log_latest,
    log_params,
    set_tags,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

UPLOAD = "tune_paddy-"
"""Prefix of temporary folders that hold a file during its upload."""

Failure = Literal["failed", "infeasible", "diverged", "stopped", "interrupted"]

RESUMABLE = frozenset(("running", "interrupted", "failed"))
"""Outcomes of members that may be trained again from their checkpoints; `failed` ones only on demand."""


def start_member(
    store: Store,
    *,
    search: str,
    member: str,
    parent_run_id: str,
    params: Mapping[str, object],
    tags: Mapping[str, object] | None = None,
) -> str:
    """Open the run of a member: a new run, or the existing one if its trial is retried.

    A new run gets the search's datasets, a page that describes the member and how to train it again, and
    the search space for that, `member.yaml`. A retry does not change existing parameters; record values
    that differ between attempts, such as `accum`, as a metric or a tag. The git revision is the search's,
    since a trial may run in another folder or on another machine.

    Args:
        store: The record, opened for the search's experiment.
        search: Name of the search.
        member: Name of the member, unique in the search, such as `0007-convnext_tiny-224`; also that of
            its run.
        parent_run_id: Run of the search.
        params: The member's configuration; `arch` also becomes a tag.
        tags: Further tags, such as `split`; a name without a dot gets the prefix `tune_paddy.`.

    Returns:
        The id of the run.

    Raises:
        InputError: A name is not valid.
        TunePaddyError: MLflow failed.
    """
    client = store.client
    wanted = {
        PARENT: parent_run_id,
        KIND: "member",
        SEARCH: check_name(search, "search"),
        MEMBER: check_name(member, "member"),
        OUTCOME: "running",
        PROCESS: this_process(),
        **MemberRecord(arch=str(params.get("arch", ""))).to_tags(),
        **prefixed(tags or {}),
    }
    parent = call(client.get_run, parent_run_id)
    inherited = known_tags(parent.data.tags)
    origin, searched = MemberRecord.from_tags(wanted).origin, SearchRecord.from_tags(inherited)
    # A refit trains on other images than any search: only its own command repeats it.
    alone = "arch" in params and not searched.refit_of
    known = _find_members(store, parent, member)
    if known:
        run_id = _reopen(store, known[0], wanted)
    else:
        wanted |= {key: value for key, value in inherited.items() if key.startswith(SOURCE)}
        wanted |= {"mlflow.user": inherited.get("mlflow.user", user_name())}
        wanted |= MemberRecord(attempts=1).to_tags()
        wanted[NOTE] = describe_member(member, origin, search, searched, has_space=alone)
        run_id = create_run(client, parent.info.experiment_id, member, stored_tags(wanted))
    # Of an existing run, too: its process may have died before this.
    log_params(client, run_id, params)
    pass_on_dataset(store, parent, run_id)
    if alone:
        space = member_space(origin or member, params, parent.data.params)
        call(client.log_text, run_id, space, MEMBER_SPACE)
    return run_id


def log_epoch(
    store: Store,
    run_id: str,
    metrics: Mapping[str, float],
    step: int,
    milliseconds: int | None = None,
) -> None:
    """Log the metrics of one epoch, in one request.

    MLflow never deletes a point. An epoch that is repeated after a crash adds nothing where a value is
    the same as before (bit-identical on a CPU). Where it differs, it adds a second point, which becomes
    the current one.

    Args:
        store: The record.
        run_id: Run of the member.
        metrics: Name → value; infinities are recorded as NaN.
        step: Number of the epoch.
        milliseconds: Time since 1970, in milliseconds; None: now.

    Raises:
        TunePaddyError: MLflow failed.
    """
    log_at_step(store.client, run_id, metrics, step, milliseconds)


def log_member(
    store: Store,
    run_id: str,
    predictions: Predictions,
    metrics: Mapping[str, float],
    *,
    tags: Mapping[str, object] | None = None,
    workspace: Path | None = None,
) -> None:
    """Store the predictions and metrics of a member, then mark its run FINISHED.

    Args:
        store: The record.
        run_id: Run of the member.
        predictions: Predictions of the select split and the test set.
        metrics: Summary: scores, seconds, footprint. They become the current values of their names.
        tags: Further tags; a name without a dot gets the prefix `tune_paddy.`.
        workspace: Existing folder for the temporary file, which its owner cleans if this process is
            killed; None: the system's temporary folder.

    Raises:
        TunePaddyError: The predictions are not valid, or could not be stored.
    """
    with tempfile.TemporaryDirectory(prefix=UPLOAD, dir=workspace) as folder:
        path = Path(folder) / FILE_NAME
        write_predictions(path, predictions)
        call(store.client.log_artifact, run_id, str(path))
    log_latest(store.client, run_id, metrics)
    noted = _noted(store, run_id, describe_scores(metrics))
    set_tags(store.client, run_id, noted | prefixed(tags or {}))
    finish_run(store, run_id, "FINISHED")


def fail_member(store: Store, run_id: str, reason: str, kind: Failure) -> None:
    """End the run of a member without a result: KILLED if it was stopped or interrupted, FAILED otherwise.

    Args:
        store: The record.
        run_id: Run of the member.
        reason: Reason for the user; joined into one line.
        kind: infeasible: not even the largest accum fits, with one image per micro-batch or `max_accum`;
            diverged: its loss was not finite; stopped: the scheduler stopped it early; interrupted: the user
            interrupted it or its process ended, and it can be resumed; failed: anything else.

    Raises:
        TunePaddyError: MLflow failed.
    """
    failure = one_line(reason)
    noted = _noted(store, run_id, f"{kind}: {failure}")
    set_tags(store.client, run_id, {OUTCOME: kind, FAILURE: failure, **noted})
    call(
        store.client.set_terminated,
        run_id,
        status="KILLED" if kind in ("stopped", "interrupted") else "FAILED",
    )


def end_member(store: Store, parent_run_id: str, member: str, reason: str, kind: Failure) -> bool:
    """End the run of a member whose process has ended; do nothing if the run has a final outcome.

    Args:
        store: The record.
        parent_run_id: Run of the search.
        member: Name of the member.
        reason: See `fail_member`; a reason that the member's process has recorded takes precedence.
        kind: See `fail_member`.

    Returns:
        Whether the record has the member.

    Raises:
        TunePaddyError: MLflow failed.
    """
    run = _find_member(store, parent_run_id, member)
    if run is None:
        return False
    tags = known_tags(run.data.tags)
    if run.info.status == "RUNNING" or tags.get(OUTCOME) == "interrupted":
        fail_member(store, run.info.run_id, tags.get(FAILURE) or reason, kind)
    return True


def finished_member(store: Store, parent_run_id: str, member: str) -> RecordedRun | None:
    """Return the run of a member whose predictions are stored, or None.

    Raises:
        TunePaddyError: MLflow failed.
    """
    run = _find_member(store, parent_run_id, member)
    return recorded(run) if run is not None and run.info.status == "FINISHED" else None


def has_ended(store: Store, parent_run_id: str, member: str) -> bool:
    """Return whether a member has an outcome after which it is never trained again, or no run at all.

    Raises:
        TunePaddyError: MLflow failed.
    """
    run = _find_member(store, parent_run_id, member)
    return run is None or recorded(run).outcome not in RESUMABLE


def close_stale(store: Store, search: str, *, all_ended: bool = False) -> tuple[str, ...]:
    """End members that the record lists as RUNNING although their process has ended.

    Args:
        store: The record.
        search: Name of the search.
        all_ended: Whether the caller knows that no trial is running. Otherwise only members whose process
            on this machine has ended are closed; processes on other machines cannot be checked.

    Returns:
        The names of the members that were closed.

    Raises:
        InputError: The search is unknown.
        TunePaddyError: MLflow failed.
    """
    running = [member for member in list_members(store, search) if member.status == "RUNNING"]
    stale = [member for member in running if all_ended or is_gone(member.tags.get(PROCESS, ""))]
    for member in stale:
        fail_member(store, member.run_id, ORPHANED, "interrupted")
    return tuple(member.name for member in stale)


def _noted(store: Store, run_id: str, result: str) -> dict[str, str]:
    """Return the tag of a member's page with its result on top."""
    note = call(store.client.get_run, run_id).data.tags.get(NOTE, "")
    return {NOTE: with_result(note, result)}


def _find_member(store: Store, parent_run_id: str, member: str) -> "Run | None":
    parent = call(store.client.get_run, parent_run_id)
    return next(iter(_find_members(store, parent, member)), None)


def _find_members(store: Store, parent: "Run", member: str) -> list["Run"]:
    """Return the runs of a member, oldest first; more than one only by accident."""
    condition = f"tags.`{PARENT}` = '{parent.info.run_id}' AND tags.`{MEMBER}` = '{member}'"
    return find_runs(store, condition, [parent.info.experiment_id])


def _reopen(store: Store, run: "Run", tags: Mapping[str, str]) -> str:
    client, run_id = store.client, str(run.info.run_id)
    attempts = (MemberRecord.from_tags(known_tags(run.data.tags)).attempts or 1) + 1
    noted = {NOTE: with_result(run.data.tags.get(NOTE, ""), "")}
    # The status comes first: a run that is not RUNNING keeps its outcome if this process dies now.
    call(client.update_run, run_id, status="RUNNING")
    set_tags(client, run_id, {**tags, **MemberRecord(attempts=attempts).to_tags(), **noted})
    if FAILURE in run.data.tags:
        delete_tag(client, run_id, FAILURE)
    return run_id
