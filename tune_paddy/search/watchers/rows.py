"""The table of a running search as text: the same columns on a terminal and in a notebook."""

from tune_paddy.data.system.text import duration, four_digits, percent
from tune_paddy.search.watchers.progress import MemberProgress, SearchProgress

SHOWN = 20
"""Largest number of rows: all running members, then the last ones that ended."""

_CITED = 24
"""Columns of a member's name before its reason."""


def heads(progress: SearchProgress) -> tuple[str, ...]:
    """Return the names of the columns; members have a fold only in a search with folds."""
    fold = ("fold",) if progress.folds else ()
    return ("member", "state", *fold, "epoch", "log loss", "error", "time")


def cells(progress: SearchProgress, member: MemberProgress) -> tuple[str, ...]:
    """Return a member's row, one text per column."""
    fold = (progress.fold_of(member),) if progress.folds else ()
    return (
        member.name,
        member.state,
        *fold,
        progress.epoch_of(member),
        *scores(member),
        duration(member.seconds(progress.clock())),
    )


def scores(member: MemberProgress) -> tuple[str, str]:
    """Return a member's log loss and error rate; both are empty before its first epoch."""
    if member.log_loss is None or member.error is None:
        return "", ""
    return four_digits(member.log_loss), percent(member.error)


def shown_members(progress: SearchProgress, most: int = SHOWN) -> list[MemberProgress]:
    """Return the members that get a row: the last that ended, then those that run.

    Args:
        progress: State of the search.
        most: Largest number of rows; running members all have one.
    """
    running = progress.running
    left = max(most - len(running), 0)
    return [*(progress.ended[-left:] if left else []), *running]


def reasons(progress: SearchProgress, most: int = 3) -> list[str]:
    """Return the last members that did not finish with the reason, one line each."""
    unfinished = [member for member in progress.ended if member.reason][-most:]
    return [f"{shortened(member.name, _CITED)}: {member.state}: {member.reason}" for member in unfinished]


def shortened(name: str, width: int) -> str:
    """Shorten a name in the middle: its number at the start and its size at the end tell members apart.

    >>> shortened("0003-convnext_large.fb_in22k-320x224", 24)
    '0003-convnext_…k-320x224'
    """
    if len(name) <= width:
        return name
    tail = (width - 1) * 2 // 5
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"
