"""How long the calls of a thread wait for a server or a storage that is gone, whatever they do.

A failure allows its own time for repetitions, see `repetition`. A thread that somebody waits for has less.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tune_paddy.core.errors import TunePaddyError

NOTICE_SECONDS = 10.0
"""Time after which a call that is repeated says so, in seconds."""

_SILENCE = 1200.0
"""Time for which no second call says that it waits for the same place, in seconds."""


class Patience:
    """A limit for all calls to servers and storages in a block, together; none until `end_in` sets it.

    Args:
        waiting: Function that is called before each pause.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, *, waiting: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.waiting = waiting
        self._clock, self._end = clock, math.inf
        self._failures: dict[str, TunePaddyError] = {}
        self._told: dict[str, float] = {}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the limit to the calls of this thread while the block runs."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def shared(self) -> "Patience":
        """Return one with the same limit for threads that work for this one; its end can be set apart."""
        shared = Patience(waiting=self.waiting, clock=self._clock)
        shared.end_in(self.left())
        return shared

    def end_in(self, seconds: float) -> None:
        """Set the limit: calls are repeated for this time from now on; any thread may set it."""
        self._end = self._clock() + seconds

    def left(self) -> float:
        """Return the time that is left for repetitions, in seconds."""
        return max(0.0, self._end - self._clock())

    def give_up(self, place: str, failure: TunePaddyError) -> None:
        """Note that a place did not answer within the limit: later calls to it fail without a request."""
        self._failures[place] = failure

    def require(self, place: str) -> None:
        """Raise if a call to a place has given up: each request to a server that is gone may take minutes.

        Raises:
            TunePaddyError: The failure of that call.
        """
        failure = self._failures.get(place)
        if failure is not None:
            raise TunePaddyError(str(failure)) from failure

    def notices(self, place: str, waited: float) -> bool:
        """Return whether a call that waits for a place says so now; then others of the block do not.

        Args:
            place: The place.
            waited: Time for which the call has waited, in seconds.
        """
        now = self._clock()
        if waited < NOTICE_SECONDS or now - self._told.get(place, -math.inf) < _SILENCE:
            return False
        self._told[place] = now
        return True


_CURRENT: ContextVar[Patience | None] = ContextVar("patience", default=None)


def current_patience() -> Patience:
    """Return the limit of this thread's calls; outside all blocks, one without an end."""
    return _CURRENT.get() or Patience()


@contextmanager
def impatient() -> Iterator[None]:
    """Let no call of this thread be repeated while the block runs, except one to a locked database."""
    patience = Patience()
    patience.end_in(0)
    with patience.applied():
        yield
