"""Progress of a running search on a terminal, and the events that watchers receive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ray.tune import Callback
from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.image_cache.cache import Progress
from tune_paddy.data.system.text import four_digits
from tune_paddy.search.interruption import Interruption
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.runs import ORPHANED

SHOWN = 20
"""Number of rows of the table: all running trials, then the last ones that ended."""


class Watcher(Protocol):
    """Receiver of trial events, in the driver."""

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:
        """Handle a change of a trial's state.

        Args:
            trial: The trial, as proposed.
            state: `running`, `retrying` or an outcome.
            result: Last result that the trial reported; empty before the first.
        """


class TrialEvents(Callback):
    """Translates Ray's events into trials and states, for the watchers."""

    def __init__(self, watchers: list[Watcher], interruption: Interruption) -> None:
        self._watchers = watchers
        self._interruption = interruption

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles a callback for its own restore, which a resume does not use."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report a trial that was placed."""
        self._tell(trial, "running", {})

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Report an epoch or the end of a trial."""
        self._tell(trial, result.get("outcome", "running"), result)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report a trial that died and is retried."""
        self._tell(trial, "retrying", {})

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report a trial that died and is not retried."""
        self._tell(trial, "failed", {"reason": failure_reason(trial)})

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report a trial that the scheduler or the user stopped; others have reported their own end."""
        if "outcome" not in (trial.last_result or {}):
            state = "interrupted" if self._interruption.requested else "stopped"
            self._tell(trial, state, dict(trial.last_result or {}))

    def _tell(self, trial: Any, state: str, result: dict[str, Any]) -> None:
        proposed = Trial.from_config(trial.config)
        for watcher in self._watchers:
            watcher.trial_changed(proposed, state, result)


class FirstNote:
    """Prints the first note of a finished member; later ones would repeat it.

    Args:
        console: Output for the note, above the table.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = False

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:
        """Print a member's note if it is the first."""
        del state
        note = result.get("note", "")
        if note and not self._told:
            self._told = True
            self._console.print(f"{trial.member}: {note}", style="yellow", soft_wrap=True)


def failure_reason(trial: Any) -> str:
    """Return in one line why a trial died, from the traceback that Ray keeps."""
    text = ""
    if trial.error_file:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any("worker process has died" in line for line in lines):
        return "its process was killed or crashed more often than `retries` allows"
    told = [line for line in lines if "Error" in line or "Exception" in line or "died" in line]
    return (told or lines or [ORPHANED])[-1][:300]


@dataclass
class _Row:
    state: str
    epochs: str = ""
    log_loss: str = ""
    error: str = ""
    note: str = ""


@dataclass
class ProgressTable:
    """Live table of the trials, their epochs and their scores.

    Attributes:
        console: Terminal for the table; any other output gets none.
        total: Number of trials of the search.
        total_epochs: Function that returns a member's number of epochs.
        done: Number of members that earlier sessions ended.
        preparing: Function that returns the progress of the image cache, called on each refresh.
    """

    console: Console
    total: int
    total_epochs: Callable[[MemberConfig], int]
    done: int = 0
    preparing: Callable[[], Sequence[Progress]] = tuple
    _rows: dict[str, _Row] = field(default_factory=dict)
    _live: Live | None = None

    def __enter__(self) -> "ProgressTable":
        if self.console.is_terminal:
            self._live = Live(self, console=self.console, refresh_per_second=2, transient=True)
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:
        """Update a trial's row."""
        row = self._rows.setdefault(trial.member, _Row(state))
        row.state = state
        row.note = str(result.get("reason", ""))
        if "log_loss" in result:
            row.epochs = f"{result['epoch']}/{self.total_epochs(trial.config)}"
        scores = {name: result.get(name, result.get(f"plain/{name}")) for name in ("log_loss", "error_rate")}
        if scores["log_loss"] is not None and scores["error_rate"] is not None:
            row.log_loss, row.error = four_digits(scores["log_loss"]), f"{scores['error_rate']:.2%}"
        if self._live is not None:
            self._live.refresh()

    def __rich__(self) -> Group:
        """Return the table below the progress bars of the image cache; Rich calls this twice a second."""
        return Group(*map(_bar, self.preparing()), self._table())

    def _table(self) -> Table:
        done = self.done + sum(row.state not in ("running", "retrying") for row in self._rows.values())
        table = Table(title=f"{done} of {self.total} members done", title_justify="left")
        running = [item for item in self._rows.items() if item[1].state in ("running", "retrying")]
        ended = [item for item in self._rows.items() if item not in running]
        shown = [*ended[-max(SHOWN - len(running), 0) :], *running]
        notes = ["note"] if any(row.note for _, row in shown) else []
        for column in ("member", "state", "epoch", "log loss", "error", *notes):
            table.add_column(column, overflow="fold")
        for member, row in shown:
            table.add_row(
                member, row.state, row.epochs, row.log_loss, row.error, *([row.note] if notes else [])
            )
        return table


def _bar(progress: Progress) -> Columns:
    words = f"Preparing images, {progress.resizing}: {progress.done} of {progress.total}"
    return Columns([ProgressBar(total=progress.total, completed=progress.done, width=30), words])
