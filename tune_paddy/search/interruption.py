"""A person's or a system's wish to end a search: politely at first, at once when it is repeated."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray.tune import Callback, Stopper

from tune_paddy.core.errors import SearchInterruptedError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(Stopper):
    """Whether the search shall end, and what that means for Ray's trials.

    Once it is wished for, each trial stops at its next report, which comes when its running epoch has its
    checkpoint or its predictions are recorded; nothing new starts.

    Attributes:
        signal: The first signal that came; None: the search shall not end.
        at_once: Whether a second one came.
        failure: What has gone that no trial can do without; None: nothing.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.at_once = False
        self.failure: str | None = None
        self._running = False

    def __getstate__(self) -> dict[str, object]:
        """Nothing: Ray keeps a copy for its own restore, which is not how a search goes on."""
        return {}

    @property
    def wished(self) -> bool:
        """Whether the search shall end; no truth value, for Ray drops a stopper that is false."""
        return self.signal is not None

    def __call__(self, trial_id: str, result: dict[str, object]) -> bool:  # noqa: ARG002 Ray's arguments
        """Whether a trial that has just reported stops."""
        return self.wished

    def stop_all(self) -> bool:
        """Whether Ray's loop ends: trials that wait for room would otherwise be waited for."""
        return self.wished and not self._running

    def look_at(self, running: bool) -> None:
        """Take note of whether a trial is running."""
        self._running = running

    def fail(self, failure: str) -> None:
        """End the search at once within `interruptible`, whatever its main thread waits for."""
        self.failure, self.at_once = failure, True
        os.kill(os.getpid(), signal.SIGINT)  # only a signal's handler can raise there

    def error(self, message: str) -> SearchInterruptedError:
        """What the search ends with; its exit status is that of a process that the signal ended."""
        number = None if self.failure else self.signal or signal.SIGINT
        return SearchInterruptedError(message, signal=number, at_once=self.at_once)


class RunningTrials(Callback):
    """Tells an interruption in every round of Ray's loop whether trials are running."""

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __getstate__(self) -> dict[str, object]:
        """Nothing: see `Interruption`."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002
        """Look at all trials."""
        self._interruption.look_at(any(trial.status == "RUNNING" for trial in trials))


@contextmanager
def interruptible(interruption: Interruption, say: Callable[[str], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM wish for an interruption while the block runs.

    Ray's own processes do not get a terminal's Ctrl-C: Ray blocks it in them. Outside the main thread
    signals are left alone, since only it may handle them.

    Args:
        interruption: Not yet wished for.
        say: Prints a line for a person.

    Raises:
        SearchInterruptedError: A second signal came, or something failed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    driver = os.getpid()

    def handle(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != driver:  # a child between fork and exec
            os._exit(128 + number)
        if interruption.failure is not None:
            raise KeyboardInterrupt
        if interruption.signal is None:
            interruption.signal = number
            say("Interrupted: running trials finish their epoch, then the search ends; again: at once")
        elif not interruption.at_once:
            interruption.at_once = True
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        failure = interruption.failure
        what = f"{failure}; the search" if failure else "the search was ended at once; it"
        raise interruption.error(f"{what} can be resumed") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
