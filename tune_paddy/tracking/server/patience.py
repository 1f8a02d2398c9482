"""How long the calls of a thread wait for a server that is gone, whatever they do.

A failure allows its own time for repetitions, see `outages`. A thread that somebody waits for has less.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tune_paddy.core.errors import TunePaddyError


class Patience:
    """A limit for all calls to the record in a block, together; none until `end_in` sets it.

    Args:
        waiting: Function that is called before each pause.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, *, waiting: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.waiting = waiting
        self._clock, self._end = clock, math.inf
        self._failure: TunePaddyError | None = None

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the limit to the calls of this thread while the block runs."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    def end_in(self, seconds: float) -> None:
        """Set the limit: calls are repeated for this time from now on; any thread may set it."""
        self._end = self._clock() + seconds

    def left(self) -> float:
        """Return the time that is left for repetitions, in seconds."""
        return max(0.0, self._end - self._clock())

    def give_up(self, failure: TunePaddyError) -> None:
        """Note that a server did not answer within the limit: later calls fail without a request."""
        self._failure = failure

    def require(self) -> None:
        """Raise if a call has given up: each request to a server that is gone may take minutes.

        Raises:
            TunePaddyError: The failure of that call.
        """
        if self._failure is not None:
            raise TunePaddyError(str(self._failure)) from self._failure


_CURRENT: ContextVar[Patience | None] = ContextVar("patience", default=None)


def current_patience() -> Patience:
    """Return the limit of this thread's calls; outside all blocks, one without an end."""
    return _CURRENT.get() or Patience()
