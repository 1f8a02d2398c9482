"""Share the time of a search among its sub-spaces, by what their members give to the ensemble."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEAST = 0.05
"""Weight that is added to that of each sub-space: one without a weight is tried again, but seldom."""

HOPE = 0.25
"""Weight that the first member of a sub-space is hoped to have; each failure in its place halves it."""


@dataclass(frozen=True)
class Begun:
    """A member of a sub-space that has begun.

    Attributes:
        family: Name of its sub-space.
        weight: Its weight in the live ensemble; 0: it is not in it, or has no predictions; None: it runs, or
            has not been selected from yet.
        seconds: Time that it took, or is expected to take, in s; above 0.
        failed: Whether it failed: that says little about the other members of its sub-space.
    """

    family: str
    weight: float | None
    seconds: float
    failed: bool = False


def next_family(
    names: Sequence[str],
    begun: Sequence[Begun],
    first_seconds: Callable[[str], float | None] = lambda name: None,
    soon: float = math.inf,
) -> str:
    """Return the sub-space that the next member comes from.

    Each whose first member takes little time is tried once, in their order. Then the one is next whose
    members have the most weight in the ensemble per second that they took: time goes where weight is, until
    its further members add none. A sub-space whose first member takes longer is tried once this weight per
    second is less than what the first member is hoped to have. One whose members have all failed is tried
    again once it is less than a hope that each failure halves; a failure counts as much time as an average
    member, since one that takes no time takes a trial.
    Measured in `benchmarks/search_efficiency`, but for these hopes.

    Args:
        names: Names of the sub-spaces; at least one.
        begun: Members that have begun.
        first_seconds: Function that returns the time of a sub-space's first member, in s; None: unknown.
        soon: Time up to which, in s, a first member takes little.

    >>> fast, slow = Begun("frozen", 0.4, 10.0), Begun("trained", 0.6, 100.0)
    >>> next_family(["frozen", "trained"], [fast]), next_family(["frozen", "trained"], [fast, slow])
    ('trained', 'frozen')
    >>> dear = {"trained": 200.0}.get
    >>> next_family(["frozen", "trained"], [fast], dear, 20.0)
    'frozen'
    >>> next_family(["frozen", "trained"], [fast, *[Begun("frozen", 0.0, 20.0)] * 20], dear, 20.0)
    'trained'
    """
    tried = {one.family for one in begun}
    times = {name: first_seconds(name) for name in names if name not in tried}
    due = [name for name, seconds in times.items() if seconds is None or seconds <= soon]
    judged = {one.family for one in begun if one.weight is not None}
    if due or (times and judged.isdisjoint(names)):
        return [*due, *times][0]
    unit = sum(one.seconds for one in begun) / len(begun)

    def worth(name: str) -> float:
        if seconds := times.get(name):
            return HOPE / seconds
        return _worth([one for one in begun if one.family == name], unit)

    return max(names, key=worth)


def _worth(members: Sequence[Begun], unit: float) -> float:
    """Return the weight per second of a sub-space's members, with what is added to it.

    Args:
        members: Its members that have begun.
        unit: Time of an average member in s.
    """
    if all(one.failed or one.weight is None for one in members):
        failures = sum(one.failed for one in members)
        seconds = sum(max(one.seconds, unit if one.failed else 0.0) for one in members)
        return max(LEAST, HOPE * 0.5 ** max(0, failures - 1)) / (seconds + unit)
    return (sum(one.weight or 0.0 for one in members) + LEAST) / (sum(one.seconds for one in members) + unit)
