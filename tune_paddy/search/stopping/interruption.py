"""Interrupt a search by a signal or at the end of its time: after the running epochs, or at once."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune import Callback, Stopper

from tune_paddy.core.errors import SearchInterruptedError, TunePaddyError
from tune_paddy.data.system.signals import HANG_UP, JOB_SIGNALS, is_ignored_hang_up, leave_terminal
from tune_paddy.search.timing.budget import UNLIMITED, TimeBudget

LAST_EPOCH = "last_epoch"
"""Key of a trial's report: whether it has no epoch left to train, and predicts now."""

ONE_PRESS = 0.5
"""Time after a signal in which further ones count as the same, in seconds.

GNU `timeout` signals its child and then the child's group, and `uv run` forwards what its child has received.
"""


class Interruption(Stopper):
    """State of a search's interruption, and the rule that stops Ray's trials.

    After an interruption, no trial starts, and each running trial stops at its next report. A trial reports
    when the checkpoint of an epoch is saved or its predictions are recorded. The same happens when the
    training has used up its time; a trial that has reported its last epoch then still predicts.

    Attributes:
        budget: Time budget of the session.
        signal: First signal received; None: not interrupted.
        at_once: Whether a second signal was received, or something failed.
        failure: Description of a failure that no trial survives, or None.

    Args:
        clock: Monotonic clock, in seconds.
        budget: Time budget of the session.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, budget: TimeBudget = UNLIMITED) -> None:
        self._clock, self._since = clock, float("-inf")
        self.budget = budget
        self.signal: int | None = None
        self.at_once = False
        self.failure: str | None = None
        self._resumable = True
        self._running = False

    def __getstate__(self) -> dict[str, object]:
        """Return nothing: Ray pickles a stopper for its own restore, which a resume does not use."""
        return {}

    @property
    def requested(self) -> bool:
        """Whether the search was interrupted; not `__bool__`, since Ray drops a stopper that is false."""
        return self.signal is not None

    @property
    def stopping(self) -> bool:
        """Whether running trials end with their epoch: the search was interrupted, or its time is used up."""
        return self.requested or self.budget.expired

    def __call__(self, trial_id: str, result: dict[str, object]) -> bool:  # noqa: ARG002 Ray's arguments
        """Return whether a trial that has just reported must stop."""
        return self.requested or (self.budget.expired and not result.get(LAST_EPOCH))

    def stop_all(self) -> bool:
        """Return whether Ray's loop must end; otherwise it would wait for trials that are not placed yet."""
        return (self.requested and not self._running) or self.budget.overdue

    def look_at(self, running: bool) -> None:
        """Store whether a trial is running."""
        self._running = running

    def receive(self, number: int) -> bool:
        """Store a signal.

        Returns:
            Whether it is a further signal, after which the search stops at once.
        """
        if self.signal is None:
            self.signal, self._since = number, self._clock()
            return False
        if self.at_once or self._clock() - self._since < ONE_PRESS:
            return False
        self.at_once = True
        return True

    def fail(self, failure: str, *, resumable: bool = True) -> None:
        """Stop the search at once inside `interruptible`, even if the main thread blocks.

        Args:
            failure: What has happened, in words.
            resumable: Whether the search can be resumed.
        """
        self.note_failure(failure, resumable=resumable)
        os.kill(os.getpid(), signal.SIGINT)  # only a signal handler can raise in the main thread

    def note_failure(self, failure: str, *, resumable: bool) -> None:
        """Store a failure, as `fail` does, for `ended`."""
        self._resumable, self.failure, self.at_once = resumable, failure, True

    def ended(self) -> TunePaddyError:
        """Return the exception of a search that something or somebody has stopped at once."""
        if self.failure is None:
            return self.error("the search was stopped at once; it can be resumed")
        if self._resumable:
            return self.error(f"{self.failure}; the search can be resumed")
        return TunePaddyError(self.failure)

    def error(self, message: str) -> SearchInterruptedError:
        """Return the exception to raise; its exit status is that of a process killed by the signal."""
        number = None if self.failure else self.signal or signal.SIGINT
        return SearchInterruptedError(message, signal=number, at_once=self.at_once)


class RunningTrials(Callback):
    """Reports to an interruption, in every step of Ray's loop, whether trials are running."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __getstate__(self) -> dict[str, object]:
        """Return nothing, see `Interruption`."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002
        """Check the status of all trials."""
        self._interruption.look_at(any(trial.status == "RUNNING" for trial in trials))


@contextmanager
def interruptible(interruption: Interruption, say: Callable[[str], None]) -> Iterator[None]:
    """Handle the signals that end programs as interruptions while the block runs.

    Ray's own processes are shielded from them, see `shielded_processes`. Outside the main thread this does
    nothing, since only the main thread may handle signals.

    Args:
        interruption: Interruption to set.
        say: Function that prints a line for the user.

    Raises:
        SearchInterruptedError: A second signal was received, or something failed that a resume survives.
        TunePaddyError: Something failed for good.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    driver = os.getpid()

    def handle(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != driver:  # in a child process between fork and exec
            os._exit(128 + number)
        if interruption.failure is not None:
            raise KeyboardInterrupt
        if number == HANG_UP:
            leave_terminal()
        first = not interruption.requested
        if interruption.receive(number):
            raise KeyboardInterrupt
        if first:
            say("Interrupted: the search stops after the running epochs; interrupt again to stop at once")

    handled = [number for number in (signal.SIGINT, *JOB_SIGNALS) if not is_ignored_hang_up(number)]
    before = {number: signal.signal(number, handle) for number in handled}
    try:
        yield
    except KeyboardInterrupt:
        raise interruption.ended() from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
