"""Train, then select: print what came of the members and how to go on."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tune_paddy.cli.app import console, print_note, record_command
from tune_paddy.cli.select import Machine, refit_and_print, select_and_print
from tune_paddy.core.errors import MembersFailError, SearchInterruptedError, TunePaddyError
from tune_paddy.data.system.text import counted

if TYPE_CHECKING:
    from tune_paddy.ensemble.options import SelectionOptions
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.search.preflight import ReadyPlan
    from tune_paddy.tracking.store import Store


def train_and_select(
    ready: "ReadyPlan", store: "Store", follow_up: Mapping[str, Any], *, verbose: bool = False
) -> None:
    """Train, select from the finished members, and refit if `follow_up` says so.

    After an interruption, select from the members finished so far, and do not refit.

    Raises:
        SearchInterruptedError: A signal interrupted the training, or members failed one after another; raised
            after the selection.
    """
    plan, interrupted = ready.plan, None
    try:
        train_and_print(ready, store)
    except SearchInterruptedError as error:
        if error.at_once or not print_members(plan, store):
            raise
        interrupted = error
    runs = plan.folder.parent
    ensemble = select_and_print(store, [plan.name], runs, check_selection(follow_up), verbose=verbose)
    if interrupted is not None:
        raise interrupted
    if follow_up["refit"] is not None:
        resume = record_command(store, "search", "--resume", plan.name)  # the record remembers --refit
        machine = Machine(plan.weights_dir, plan.ray_address)
        refit_and_print(store, ensemble, [plan.name], runs, machine, plan.dataset, resume=resume)


def check_selection(follow_up: Mapping[str, Any]) -> "SelectionOptions":
    """Validate the options of the selection before the training starts.

    Raises:
        InputError: An option is invalid.
    """
    from tune_paddy.ensemble.fixed_weights import parse_weights
    from tune_paddy.ensemble.options import SelectionOptions

    weights = tuple(follow_up["weights"] or ())
    parse_weights(weights)
    return SelectionOptions(metric=follow_up["metric"], method=follow_up["method"], weights=weights)


def train_and_print(ready: "ReadyPlan", store: "Store", *, weights: bool = True) -> None:
    """Run a search, then print the number of finished members and the reasons of the others.

    Raises:
        SearchInterruptedError: A signal interrupted the search, or members failed one after another; the
            error names the command that resumes it.
        TunePaddyError: No member finished.
    """
    from tune_paddy.search.run import run_search

    plan = ready.plan
    console.print(f"Search {plan.name} of space {plan.space.name}")
    started = time.monotonic()
    try:
        run_search(ready, store, console=console)
    except SearchInterruptedError as error:
        again = ("--retry-failed",) if isinstance(error, MembersFailError) else ()
        error.add_note(f"to resume it: {record_command(store, 'search', '--resume', plan.name, *again)}")
        raise
    finished = print_members(plan, store, f" in {time.monotonic() - started:.0f} s", weights=weights)
    more = _more_time(plan, store)
    if not finished and more:
        raise TunePaddyError(f"no member finished: {more}")
    print_note(more)
    console.print()


def _more_time(plan: "SearchPlan", store: "Store") -> str | None:
    """Return how to continue a search that ended before its trials did; None: none are left, or no limit."""
    from tune_paddy.search.stopping.failures import FAILURES
    from tune_paddy.tracking.runs import get_search, list_members
    from tune_paddy.tracking.schema import FLAT, SearchRecord

    if SearchRecord.from_run(get_search(store, plan.name)).ended_by == FLAT:
        command = record_command(store, "search", "--resume", plan.name, "--no-stop-when-flat")
        return f"more time was not expected to pay; to go on all the same: {command}"
    minutes, members = plan.settings.minutes, list_members(store, plan.name)
    ended = sum(member.outcome != "interrupted" for member in members)
    if minutes is None or ended >= plan.total:
        return None
    command = record_command(store, "search", "--resume", plan.name, "--minutes", f"{2 * minutes:g}")
    failed = [member for member in members if member.outcome in FAILURES]
    if failed and not any(member.outcome == "finished" for member in members):
        reason = f"{failed[-1].name}: {failed[-1].failure}"
        return f"{counted(len(failed), 'member')} failed, {reason}; to try again: {command} --retry-failed"
    return f"no further member fits the {minutes:g} minutes; to go on: {command}"


def print_members(plan: "SearchPlan", store: "Store", when: str = "", *, weights: bool = True) -> int:
    """Print the number of finished members, how many weights files are kept, and failures with reasons.

    Args:
        plan: Plan of the search.
        store: The record.
        when: Words after the number of finished members.
        weights: Whether to print how many weights files are kept.

    Returns:
        The number of finished members.
    """
    from tune_paddy.search.watchers.prune_weights import weights_line
    from tune_paddy.tracking.runs import list_members

    members = list_members(store, plan.name)
    finished = sum(member.outcome == "finished" for member in members)
    console.print(f"{finished} of {counted(len(members), 'member')} finished{when}")
    if finished and weights:
        line = weights_line(members, plan.shelf)
        console.print(f"{line} (keep_weights: {plan.settings.keep_weights})")
    for member in members:
        if member.outcome != "finished":
            line = f"{member.name}: {member.outcome}: {member.failure}"
            console.print(line, style="yellow", soft_wrap=True)
    return finished
