"""Forecast the remaining time of a running search from the members that have ended."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from tune_paddy.core.timing.forecast import Span, TimeForecast, spoken
from tune_paddy.data.system.text import counted
from tune_paddy.search.trial import Trial

_OPEN = ("running", "retrying")


class TimeWatch:
    """Measures the members of a search, and prints the remaining time once the first ones have finished.

    Args:
        console: Output for one line; None: print nothing.
        total: Number of members of the search.
        at_once: Number of concurrent trials.
        done: Number of members that earlier sessions ended.
        forecast: Forecast made before the search; None: measured members alone count.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        console: Console | None,
        total: int,
        at_once: int,
        *,
        done: int = 0,
        forecast: TimeForecast | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._total, self._clock = console, total, clock
        self._forecast = forecast or TimeForecast((), at_once)
        self._done = done
        self._started: dict[str, float] = {}
        self._measured: list[float] = []
        self._printed = False

    def remaining(self) -> Span | None:
        """Return the time until the search ends, in s; None while nothing is known of any member."""
        n = self._total - self._done
        if n <= 0 or not (self._measured or self._forecast.members):
            return None
        now = self._clock()
        running = [now - started for started in self._started.values()][:n]
        return self._forecast.remaining(n, measured=self._measured, running=running)

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Measure a member from its start to its end; only finished members count as measured."""
        if state in _OPEN:
            self._started.setdefault(trial.member, self._clock())
            return
        started = self._started.pop(trial.member, None)
        if started is None:
            return
        self._done += 1
        if state == "finished":
            self._measured.append(self._clock() - started)
        self._print_once()

    def _print_once(self) -> None:
        """Print the remaining time after the first round of members."""
        if self._printed or self._console is None or len(self._measured) < self._forecast.at_once:
            return
        span = self.remaining()
        if span is not None:
            self._printed = True
            left = counted(self._total - self._done, "member")
            self._console.print(
                f"{left} left: about {spoken(span.median)} ({spoken(span.low)} to {spoken(span.high)})"
            )
