"""Writing the record of a search and of its members: started, reported on, finished or failed.

A run is found again by the names of its search and member, so a retried trial goes on in its own run.
A member is FINISHED only once its predictions are stored: everyone who reads may rely on it.
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
from tune_paddy.tracking.context.reproduction import MEMBER_SPACE, describe_member, member_space
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
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.writing import finish_run, log_at_step, log_latest, log_params, set_tags

if TYPE_CHECKING:
    from mlflow.entities import Run

UPLOAD = "tune_paddy-"
"""What the names of folders begin with that hold a file on its way to the record."""

Failure = Literal["failed", "infeasible", "diverged", "stopped", "interrupted"]


def start_member(
    store: Store,
    *,
    search: str,
    member: str,
    parent_run_id: str,
    params: Mapping[str, object],
    tags: Mapping[str, object] | None = None,
) -> str:
    """Open the run of a member: a new one, or its own when its trial is tried again.

    A new run gets the datasets of its search, a page that says what it is and how to train it again, and the
    space for that, `member.yaml`. On a retry, parameters that the run has stay as they are; what changed
    between attempts, such as accum, belongs into a metric or a tag. The git revision is the search's, since
    a trial runs elsewhere.

    Args:
        store: The record, opened for the search's experiment.
        search: Name of the search.
        member: Name of the member, unique in the search, such as `0007-convnext_tiny-224`.
        parent_run_id: Run of the search.
        params: The member's configuration; `arch` becomes a tag, too.
        tags: Further tags, such as `split`; a name without a dot gets the prefix `tune_paddy.`.

    Returns:
        The id of the run.

    Raises:
        InputError: A name cannot be used.
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
    known = _find_member(store, parent_run_id, member)
    if known is not None:
        return _reopen(store, known, wanted, params)
    wanted |= {key: value for key, value in parent.data.tags.items() if key.startswith(SOURCE)}
    wanted |= {"mlflow.user": parent.data.tags.get("mlflow.user", user_name())}
    wanted |= MemberRecord(attempts=1).to_tags()
    origin, searched = MemberRecord.from_tags(wanted).origin, SearchRecord.from_tags(parent.data.tags)
    # A refit trains on other images than any search: its own command is the way to it.
    alone = "arch" in params and not searched.refit_of
    wanted[NOTE] = describe_member(member, origin, search, searched, has_space=alone)
    run = call(client.create_run, parent.info.experiment_id, tags=wanted, run_name=_row_name(member))
    run_id = str(run.info.run_id)
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

    MLflow never forgets a point. An epoch that is repeated after a crash adds nothing where a value is
    the same as before (on a CPU it is, to the bit), and a second point, which becomes the current one,
    where it differs.

    Args:
        store: The record.
        run_id: Of the member.
        metrics: Name → value; infinities are recorded as NaN.
        step: Number of the epoch.
        milliseconds: When, since 1970; None: now.

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
    """Store what a member yields and call it FINISHED, in this order.

    Args:
        store: The record.
        run_id: Of the member.
        predictions: On the select split and the test set.
        metrics: Its summary: scores, seconds, footprint. They become the current values of their names.
        tags: Further tags; a name without a dot gets the prefix `tune_paddy.`.
        workspace: Existing folder for the file on its way, which its owner sweeps should this process be
            killed; None: the system's.

    Raises:
        TunePaddyError: The predictions cannot be used, or could not be stored.
    """
    with tempfile.TemporaryDirectory(prefix=UPLOAD, dir=workspace) as folder:
        path = Path(folder) / FILE_NAME
        write_predictions(path, predictions)
        call(store.client.log_artifact, run_id, str(path))
    log_latest(store.client, run_id, metrics)
    set_tags(store.client, run_id, prefixed(tags or {}))
    finish_run(store, run_id, "FINISHED")


def fail_member(store: Store, run_id: str, reason: str, kind: Failure) -> None:
    """End a member that yields nothing: KILLED when it was stopped, FAILED otherwise.

    Args:
        store: The record.
        run_id: Of the member.
        reason: Why, for a person; brought onto one line.
        kind: infeasible: it fits in no micro-batch; diverged: its loss was not finite; stopped: by the
            scheduler; interrupted: by a person or the end of its process, to go on some time; failed:
            anything else.

    Raises:
        TunePaddyError: MLflow failed.
    """
    set_tags(store.client, run_id, {OUTCOME: kind, FAILURE: one_line(reason)})
    call(
        store.client.set_terminated,
        run_id,
        status="KILLED" if kind in ("stopped", "interrupted") else "FAILED",
    )


def end_member(store: Store, parent_run_id: str, member: str, reason: str, kind: Failure) -> bool:
    """End a member whose own process no longer can; one that has ended for good stays as it is.

    Args:
        store: The record.
        parent_run_id: Run of the search.
        member: Name of the member.
        reason: See `fail_member`; one that its process has given itself stands.
        kind: See `fail_member`.

    Returns:
        Whether the record has the member.

    Raises:
        TunePaddyError: MLflow failed.
    """
    run = _find_member(store, parent_run_id, member)
    if run is None:
        return False
    tags = run.data.tags
    if run.info.status == "RUNNING" or tags.get(OUTCOME) == "interrupted":
        fail_member(store, run.info.run_id, tags.get(FAILURE) or reason, kind)
    return True


def finished_member(store: Store, parent_run_id: str, member: str) -> RecordedRun | None:
    """The run of a member whose predictions are stored, or None.

    Raises:
        TunePaddyError: MLflow failed.
    """
    run = _find_member(store, parent_run_id, member)
    return recorded(run) if run is not None and run.info.status == "FINISHED" else None


def close_stale(store: Store, search: str, *, all_ended: bool = False) -> tuple[str, ...]:
    """End members that are RUNNING in the record and nowhere else.

    Args:
        store: The record.
        search: Name of the search.
        all_ended: The caller knows that no trial runs any more. Otherwise only those whose process on
            this machine is gone are closed; of processes on other machines nothing can be said.

    Returns:
        The names of the members that were closed.

    Raises:
        InputError: There is no such search.
        TunePaddyError: MLflow failed.
    """
    running = [member for member in list_members(store, search) if member.status == "RUNNING"]
    stale = [member for member in running if all_ended or is_gone(member.tags.get(PROCESS, ""))]
    for member in stale:
        fail_member(store, member.run_id, ORPHANED, "interrupted")
    return tuple(member.name for member in stale)


def _row_name(member: str) -> str:
    """Name of a member's row in MLflow's table, which cuts long ones: what tells members apart comes first.

    >>> _row_name("0007-convnext_tiny.fb_in22k-224")
    'convnext_tiny.fb_in22k 224 #7'
    """
    number, _, rest = member.partition("-")
    words = rest.replace("-", " ")
    return f"{words} #{int(number)}" if number.isdecimal() and words else member.replace("-", " ")


def _find_member(store: Store, parent_run_id: str, member: str) -> "Run | None":
    parent = call(store.client.get_run, parent_run_id)
    condition = f"tags.`{PARENT}` = '{parent_run_id}' AND tags.`{MEMBER}` = '{member}'"
    return next(iter(find_runs(store, condition, [parent.info.experiment_id])), None)


def _reopen(store: Store, run: "Run", tags: Mapping[str, str], params: Mapping[str, object]) -> str:
    client, run_id = store.client, run.info.run_id
    attempts = (MemberRecord.from_tags(run.data.tags).attempts or 1) + 1
    set_tags(client, run_id, {**tags, **MemberRecord(attempts=attempts).to_tags(), FAILURE: ""})
    call(client.update_run, run_id, status="RUNNING")
    log_params(client, run_id, params)
    return str(run_id)
