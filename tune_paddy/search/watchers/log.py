"""Progress of a running search as lines of a log, for a pipe or a file."""

from typing import Any

from rich.console import Console

from tune_paddy.data.system.progress.lines import INTERVAL, longest_silence, write_line
from tune_paddy.search.trial import Trial
from tune_paddy.search.watchers.progress import UNENDED, MemberProgress, SearchProgress
from tune_paddy.search.watchers.rows import scores, shortened

WIDTH = 100
"""Largest number of columns of a line."""
_NAME = 32
"""Columns of a member's name."""


class LogDisplay:
    """Writes a line for each member that ends, and for an epoch if none was written for some seconds.

    So members of seconds get one line each, epochs of minutes get one line each, and many short epochs do
    not fill the log. Between them a line says how far the search is, less often as it takes longer.

    Args:
        console: Output for the lines; a quiet one gets none.
        progress: State of the search, updated before this display.
        interval: Minimum time between two lines of members that train, in seconds.
    """

    def __init__(self, console: Console, progress: SearchProgress, interval: float = INTERVAL) -> None:
        self._console, self._progress, self._interval = console, progress, interval
        self._written = float("-inf")
        self._told: list[str] = []  # outlook that was written last
        self._told_at = float("-inf")

    def __enter__(self) -> "LogDisplay":
        waiting = self._progress.waiting_for()
        if waiting:
            self._write(waiting[0].upper() + waiting[1:])
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing: each line was written at once."""

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:
        """Write a line if the member has ended, or has finished an epoch after a silence."""
        member = self._progress.members[trial.member]
        if state not in UNENDED or state == "retrying":
            self._write(ended_line(self._progress, member))
        elif "log_loss" in result and self._is_silent():
            self._write(epoch_line(self._progress, member))

    def tick(self) -> None:
        """Write the progress of the image cache, or that of the search, after a silence."""
        if self._is_silent(longest_silence(self._progress.elapsed, self._interval)):
            for line in self._progress.preparations() or [self._state()]:
                self._write(line)
        self._write_outlook()

    def _write_outlook(self) -> None:
        """Write what the search is expected to reach, as often as its progress, if it has changed."""
        progress, now = self._progress, self._progress.clock()
        if now - self._told_at < longest_silence(progress.elapsed, self._interval):
            return
        self._told_at, lines = now, progress.outlook()
        if lines and lines != self._told:
            self._told = lines
            for line in (progress.ensemble, *lines):
                self._write(line)

    def _state(self) -> str:
        progress = self._progress
        return progress.waiting_for() or progress.headline()

    def _is_silent(self, seconds: float | None = None) -> bool:
        limit = self._interval if seconds is None else seconds
        return self._progress.clock() - self._written >= limit

    def _write(self, line: str) -> None:
        self._written = self._progress.clock()
        write_line(self._console, line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…")


def epoch_line(progress: SearchProgress, member: MemberProgress) -> str:
    """Return the line of a finished epoch: member, fold, epoch, scores, elapsed time and time left."""
    fold = [f"fold {progress.fold_of(member)}"] if progress.folds else []
    return _joined(progress, member, [*fold, f"epoch {progress.epoch_of(member)}"])


def ended_line(progress: SearchProgress, member: MemberProgress) -> str:
    """Return the line of a member that has ended or is retried: its state, and its scores or the reason."""
    if member.state == "finished":
        return _joined(progress, member, [f"finished {progress.tally()}"])
    reason = f": {member.reason}" if member.reason else ""
    if member.state in (*UNENDED, "interrupted"):
        return (
            f"{shortened(member.name, _NAME)}  {member.state} after epoch {progress.epoch_of(member)}{reason}"
        )
    return f"{shortened(member.name, _NAME)}  {member.state} {progress.tally()}{reason}"


def _joined(progress: SearchProgress, member: MemberProgress, parts: list[str]) -> str:
    loss, error = scores(member)
    known = [f"loss {loss}", f"error {error}"] if loss else []
    return "  ".join([shortened(member.name, _NAME), *parts, *known, progress.times()])
