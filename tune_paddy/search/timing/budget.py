"""Time budget of a search: its training ends early enough for the selection and the submission."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

STOPPING = 10.0
"""Time that Ray may take to end trials in the middle of an epoch, in s."""

LEAST_RESERVE, MOST_RESERVE = 15.0, 300.0
"""Least and most time that is kept for the selection and the submission, in s."""

RESERVED, ENDING = 0.02, 0.03
"""Share of a budget for the selection, and for running epochs to end in."""

OF_START = 0.4
"""Time of a selection over that of the start of a search on the same machine; see `benchmarks/LOG.md`."""

LONGEST_ENDING = 120.0
"""Most time in which running epochs may end, in s."""


@dataclass(frozen=True)
class TimeBudget:
    """Time budget of one session of a search.

    No member begins that is not expected to end by `training_end`. From then on each running member ends with
    its epoch; at `last_end` those that still run are ended at once. Their checkpoints stay.

    Attributes:
        began: Start of the session, by the clock, in s.
        seconds: Longest duration of the session in s, selection and submission included; inf: no limit.
        opened: Start of the training, by the clock, in s.
        clock: Monotonic clock, in seconds: a system clock that is set back changes nothing.
    """

    began: float = 0.0
    seconds: float = math.inf
    opened: float = 0.0
    clock: Callable[[], float] = time.monotonic

    @property
    def reserve(self) -> float:
        """Time after the last training step, in s.

        The start tells how busy the machine is.
        """
        wanted = max(LEAST_RESERVE, RESERVED * self.seconds, OF_START * (self.opened - self.began))
        return min(STOPPING + min(wanted, MOST_RESERVE), self.seconds / 4)

    @property
    def last_end(self) -> float:
        """Time at which trials are ended at once, by the clock, in s."""
        return self.began + self.seconds - self.reserve if self.is_limited else math.inf

    @property
    def training_end(self) -> float:
        """Time by which members should end, by the clock, in s."""
        return self.last_end - min(ENDING * self.seconds, LONGEST_ENDING)

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self.seconds < math.inf

    def left(self) -> float:
        """Return the time that is left for training, in s; negative after its end."""
        return self.training_end - self.clock()

    @property
    def expired(self) -> bool:
        """Whether running members must end with their epoch."""
        return self.clock() >= self.training_end

    @property
    def overdue(self) -> bool:
        """Whether running members must end at once."""
        return self.clock() >= self.last_end


UNLIMITED = TimeBudget()
"""Budget without a limit."""
