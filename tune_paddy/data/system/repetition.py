"""Repeat calls to a server or a storage while it fails for a reason that passes by itself."""

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.patience import current_patience
from tune_paddy.data.system.text import duration

UNREACHABLE_SECONDS = 1200.0
"""Time for which a call to a server or a storage that does not answer is repeated."""

ERROR_SECONDS = 180.0
"""Time for which a call is repeated that fails inside of it: it may have an error that stays."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Pauses before the first and before late repetitions, in seconds."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Failure of a call.

    Attributes:
        words: What failed, in one line.
        seconds: Time for which the call is repeated, in seconds; 0: it would fail again.
        limited: Whether the `Patience` of the thread limits that time.
    """

    words: str
    seconds: float
    limited: bool = True


def repeated(
    attempt: Callable[[], T],
    place: str,
    *,
    kinds: tuple[type[BaseException], ...],
    judge: Callable[[BaseException], Failure],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call a function until it succeeds, or fails in a way that lasts.

    Args:
        attempt: The function.
        place: Name of what it calls; a thread that gave up one place still calls others.
        kinds: Errors that may pass; others are raised unchanged.
        judge: Function that says what an error means.
        clock: Monotonic clock, in seconds.
        sleep: Function that waits for a number of seconds.

    Raises:
        TunePaddyError: The failure lasted, or is one that a repetition cannot fix.
    """
    began, pause, patience = clock(), pauses(), current_patience()
    patience.require(place)
    while True:
        try:
            return attempt()
        except kinds as error:
            failure, waited = judge(error), clock() - began
            limit, ended = failure.seconds, False
            if failure.limited:
                ended = limit > 0 and patience.left() == 0
                limit = min(limit, waited + patience.left())
            if waited >= limit:
                lasting = TunePaddyError(failure.words)
                if ended:
                    patience.give_up(place, lasting)
                raise lasting from error
            if patience.notices(place, waited):
                _log.warning("%s; waiting for up to %s", failure.words, duration(limit))
        patience.waiting()
        sleep(max(0.0, min(next(pause), began + limit - clock())))


def pauses() -> Iterator[float]:
    """Yield the pauses between repetitions, in seconds, without end.

    They grow, and are random, so that the trials of a cluster do not all call a server that has just started
    at the same moment.
    """
    # Not the global generator: trainings draw from it, and must not depend on an outage.
    draw, longest = random.SystemRandom(), FIRST_PAUSE
    while True:
        yield draw.uniform(longest / 2, longest)
        longest = min(2 * longest, LONGEST_PAUSE)
