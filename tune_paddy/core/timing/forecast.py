"""Forecast how long the members of a search take together."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

_DRAWS = 400
_MINUTE, _HOUR = 60.0, 3600.0
_QUANTILES = (0.5, 0.1, 0.9)


@dataclass(frozen=True)
class Span:
    """A forecast of a time, in s, or of a number.

    Attributes:
        median: Median.
        low: 10th percentile.
        high: 90th percentile.
    """

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class TimeForecast:
    """Forecast of the time of a search, before it starts; for a running one see `watchers.time_left`.

    Attributes:
        members: Forecast seconds of the first members that the space proposes, one or more; () if there is no
            forecast.
        at_once: Number of concurrent trials, at least 1.
        first: Number of them that are not sampled: members after the known ones are like the others, if any.
        error: Standard deviation of the logarithm of measured over forecast seconds, for all members alike.
        seed: Seed of the draws: the same forecast always returns the same figures.
    """

    members: tuple[float, ...]
    at_once: int
    first: int = 0
    error: float = 0.0
    seed: int = field(default=0, repr=False)

    def total(self, n: int) -> Span:
        """Return the time of `n` members, in s; those after the known ones are drawn from the sampled.

        Raises:
            ValueError: There is no forecast of a member.
        """
        return _span([makespan(seconds, self.at_once) for seconds in self._draws(n)])

    def number(self, seconds: float, most: int) -> Span:
        """Return how many members end in a time, if each runs to its last epoch.

        Args:
            seconds: The time, in s.
            most: Largest number of members that start.

        Raises:
            ValueError: There is no forecast of a member.
        """
        return _span([ended_in(drawn, self.at_once, seconds) for drawn in self._draws(most)])

    def _draws(self, n: int) -> Iterator[list[float]]:
        """Yield possible seconds of the first `n` members, in their order."""
        if not self.members:
            raise ValueError("no forecast of time without a forecast of a member")
        members = np.asarray(self.members, dtype=np.float64)
        known, unknown = members[:n], max(0, n - len(members))
        sampled = members[self.first :] if self.first < len(members) else members
        rng = np.random.default_rng([self.seed, n])
        for _ in range(_DRAWS):
            drawn = np.concatenate([known, rng.choice(sampled, size=unknown)])
            yield (drawn * np.exp(self.error * rng.standard_normal())).tolist()


def _span(values: Sequence[float]) -> Span:
    return Span(*(float(value) for value in np.quantile(values, _QUANTILES)))


def makespan(seconds: Sequence[float], at_once: int) -> float:
    """Return when the last of some tasks ends, if each starts on the first of `at_once` free places.

    >>> makespan([3.0, 1.0, 1.0], 2)
    3.0
    """
    free = [0.0] * at_once
    for duration in seconds:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)


def ended_in(seconds: Sequence[float], at_once: int, limit: float) -> int:
    """Return how many of some tasks end by `limit`; a place takes no further task after one that would not.

    >>> ended_in([3.0, 1.0, 1.0, 5.0, 1.0], 2, limit=4.0)
    4
    """
    free, ended = [0.0] * at_once, 0
    for duration in seconds:
        end = heapq.heappop(free) + duration
        if end <= limit:
            heapq.heappush(free, end)
            ended += 1
        elif not free:
            break
    return ended


def spoken(seconds: float) -> str:
    """Format a time to two digits of its unit at most.

    >>> [spoken(s) for s in (0.4, 42, 144, 600, 11_400)]
    ['1 s', '42 s', '2.4 min', '10 min', '3 h 10 min']
    """
    if seconds < 1.5 * _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < 9.95 * _MINUTE:
        return f"{seconds / _MINUTE:.1f} min"
    if round(seconds / _MINUTE) * _MINUTE < _HOUR:
        return f"{round(seconds / _MINUTE)} min"
    step = 5 if seconds < 10 * _HOUR else 30  # minutes
    hours, rest = divmod(step * round(seconds / _MINUTE / step), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
