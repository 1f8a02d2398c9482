"""Share the time of a search among its sub-spaces, by what their members give to the ensemble."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

LEAST = 0.05
"""Weight that is added to that of each sub-space: one without a weight is tried again, but seldom."""

HOPE = 0.25
"""Weight that the first member of a sub-space is hoped to have."""


@dataclass(frozen=True)
class Judged:
    """A member that the live ensemble was selected from.

    Attributes:
        family: Name of its sub-space.
        weight: Its weight in the ensemble; 0: it is not in it.
        seconds: Time that it took, in s.
    """

    family: str
    weight: float
    seconds: float


def next_family(
    names: Sequence[str],
    judged: Sequence[Judged],
    begun: Collection[str] = (),
    first_seconds: Callable[[str], float | None] = lambda name: None,
    soon: float = math.inf,
) -> str:
    """Return the sub-space that the next member comes from.

    Each whose first member takes little time is tried once, in their order. Then the one is next whose
    members have the most weight in the ensemble per second that they took: time goes where weight is, until
    its further members add none. A sub-space whose first member takes longer is tried once this weight per
    second is less than what the first member is hoped to have.
    Measured in `benchmarks/search_efficiency`, but for this hope.

    Args:
        names: Names of the sub-spaces; at least one.
        judged: Members that have been judged.
        begun: Sub-spaces of members that have not been judged yet.
        first_seconds: Function that returns the time of a sub-space's first member, in s; None: unknown.
        soon: Time up to which, in s, a first member takes little.

    >>> fast, slow = Judged("frozen", 0.4, 10.0), Judged("trained", 0.6, 100.0)
    >>> next_family(["frozen", "trained"], [fast]), next_family(["frozen", "trained"], [fast, slow])
    ('trained', 'frozen')
    >>> dear = {"trained": 200.0}.get
    >>> next_family(["frozen", "trained"], [fast], (), dear, 20.0)
    'frozen'
    >>> next_family(["frozen", "trained"], [fast, *[Judged("frozen", 0.0, 20.0)] * 20], (), dear, 20.0)
    'trained'
    """
    known = {one.family for one in judged}
    untried = [name for name in names if name not in known and name not in begun]
    tried = [name for name in names if name in known]
    times = {name: first_seconds(name) for name in untried}
    due = [name for name, seconds in times.items() if seconds is None or seconds <= soon]
    if due or not tried:
        return (due or untried or names)[0]
    unit = sum(one.seconds for one in judged) / len(judged)

    def worth(name: str) -> float:
        if seconds := times.get(name):
            return HOPE / seconds
        own = [one for one in judged if one.family == name]
        return (sum(one.weight for one in own) + LEAST) / (sum(one.seconds for one in own) + unit)

    return max([*tried, *untried], key=worth)
