"""Forecast how long a running search still takes, from the pace of its own members."""

from collections.abc import Sequence


def time_left(
    ended: Sequence[float], running: Sequence[tuple[float, float]], waiting: int, at_once: int
) -> float | None:
    """Return the expected time until the last member ends, in seconds; None until a pace is known.

    Members differ, so this is the mean of those that have ended, and before the first end the pace of the
    epochs of those that run.

    Args:
        ended: Durations of the members that have ended in this session, in seconds.
        running: For each running member, its time so far in seconds and its share of epochs done.
        waiting: Number of members that have not started.
        at_once: Number of members that train concurrently.

    >>> time_left([100, 200], [(50, 0.5)], waiting=3, at_once=1)
    500.0
    >>> time_left([], [(60, 0.5), (60, 0.0)], waiting=2, at_once=2)
    210.0
    >>> time_left([], [(60, 0.0)], waiting=2, at_once=2) is None
    True
    """
    paces = ended or [seconds / share for seconds, share in running if share > 0]
    if not paces:
        return None if running or waiting else 0.0
    typical = sum(paces) / len(paces)
    remaining = [_remaining(seconds, share, typical) for seconds, share in running]
    work = waiting * typical + sum(remaining)
    return max([work / max(1, min(at_once, waiting + len(running))), *remaining])


def _remaining(seconds: float, share: float, typical: float) -> float:
    """Return the time that a running member still takes, in seconds."""
    return seconds * (1 - share) / share if share > 0 else max(typical - seconds, 0.0)
