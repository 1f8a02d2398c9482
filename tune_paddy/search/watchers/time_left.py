"""Forecast how long a running search still takes, from the pace of its own members."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Time of a member in this session.

    Attributes:
        seconds: Duration so far, in seconds.
        share: Share of its epochs that is done, from 0 to 1.
    """

    seconds: float
    share: float = 1.0


@dataclass(frozen=True)
class Kind:
    """Members that take about the same time: the frozen ones of a search, or the others.

    Attributes:
        ended: Members that have ended in this session.
        running: Members that run.
        waiting: Number of members that have not started.
    """

    ended: Sequence[Timing] = ()
    running: Sequence[Timing] = ()
    waiting: int = 0

    @property
    def pace(self) -> float | None:
        """Mean duration in seconds: of the members that have ended, else of the epochs of those that run."""
        known = self.ended or [member for member in self.running if member.share > 0]
        paces = [member.seconds / member.share for member in known]
        return sum(paces) / len(paces) if paces else None

    def left(self) -> list[float] | None:
        """Return the seconds that each running member still takes; None if the pace is needed and unknown."""
        pace = self.pace
        if pace is None:
            return None if self.running or self.waiting else []
        return [_left(member, pace) for member in self.running]


def time_left(kinds: Sequence[Kind], at_once: int) -> float | None:
    """Return the expected time until the last member ends, in seconds; None until all paces are known.

    Args:
        kinds: Members of the search by kind.
        at_once: Number of members that train concurrently.

    >>> time_left([Kind([Timing(100), Timing(200)], [Timing(50, 0.5)], waiting=3)], at_once=1)
    500.0
    >>> time_left([Kind(running=[Timing(60, 0.5), Timing(60, 0.0)], waiting=2)], at_once=2)
    180.0
    >>> time_left([Kind(running=[Timing(60, 0.0)], waiting=2)], at_once=2) is None
    True
    >>> frozen, trained = Kind([Timing(10)] * 30), Kind(running=[Timing(60, 0.1)], waiting=1)
    >>> time_left([frozen, trained], at_once=1)
    1140.0
    """
    running: list[float] = []
    for kind in kinds:
        left = kind.left()
        if left is None:
            return None
        running += left
    waiting = sum(kind.waiting for kind in kinds)
    work = sum(running) + sum(kind.waiting * (kind.pace or 0.0) for kind in kinds)
    return max([work / max(1, min(at_once, waiting + len(running))), *running])


def _left(member: Timing, pace: float) -> float:
    """Return the time that a running member still takes, in seconds."""
    if member.share > 0:
        return member.seconds * (1 - member.share) / member.share
    return max(pace - member.seconds, 0.0)
