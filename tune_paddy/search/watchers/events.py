"""Events of a running search, and their translation from Ray's for the watchers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ray.tune import Callback
from rich.console import Console

from tune_paddy.search.stopping.interruption import Interruption
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.runs import ORPHANED


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
    """Translates Ray's events into trials and states, for the watchers.

    Args:
        watchers: Receivers of the trials' states.
        interruption: Interruption of the search.
        tick: Function that is called in every step of Ray's loop.
    """

    def __init__(
        self, watchers: list[Watcher], interruption: Interruption, tick: Callable[[], None] = lambda: None
    ) -> None:
        self._watchers = watchers
        self._interruption = interruption
        self._tick = tick

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Ray pickles a callback for its own restore, which a resume does not use."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Let displays refresh what changes without an event, such as the time."""
        self._tick()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report a trial that was placed."""
        self._pass_on(trial, "running", {})

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Report an epoch or the end of a trial."""
        self._pass_on(trial, result.get("outcome", "running"), result)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report a trial that died and is retried."""
        self._pass_on(trial, "retrying", {})

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report a trial that died and is not retried."""
        self._pass_on(trial, "failed", {"reason": failure_reason(trial)})

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report a trial that the scheduler or the user stopped; others have reported their own end."""
        if "outcome" not in (trial.last_result or {}):
            state = "interrupted" if self._interruption.stopping else "stopped"
            self._pass_on(trial, state, dict(trial.last_result or {}))

    def _pass_on(self, trial: Any, state: str, result: dict[str, Any]) -> None:
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
        self._printed = False

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:
        """Print a member's note if it is the first."""
        del state
        note = result.get("note", "")
        if note and not self._printed:
            self._printed = True
            self._console.print(f"{trial.member}: {note}", style="yellow", soft_wrap=True)


def failure_reason(trial: Any) -> str:
    """Return in one line why a trial died, from the traceback that Ray keeps."""
    text = ""
    if trial.error_file:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any("worker process has died" in line for line in lines):
        return "its process was killed or crashed more often than `retries` allows"
    reasons = [line for line in lines if "Error" in line or "Exception" in line or "died" in line]
    return (reasons or lines or [ORPHANED])[-1][:300]
