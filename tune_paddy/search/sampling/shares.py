"""Share the time of a search among its sub-spaces, by what their members give to the ensemble."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

LEAST = 0.05
"""Weight that is added to that of each sub-space: one without a weight is tried again, but seldom."""


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
    is_due: Callable[[str], bool] = lambda name: True,
) -> str:
    """Return the sub-space that the next member comes from.

    Each is tried once, in their order, when it is due. Then the one is next whose members have the most
    weight in the ensemble per second that they took: time goes where weight is, until its further members
    add none.
    Measured in `benchmarks/search_efficiency`.

    Args:
        names: Names of the sub-spaces; at least one.
        judged: Members that have been judged.
        begun: Sub-spaces of members that have not been judged yet.
        is_due: Function that returns whether a sub-space may be tried for the first time.

    >>> fast, slow = Judged("frozen", 0.4, 10.0), Judged("trained", 0.6, 100.0)
    >>> next_family(["frozen", "trained"], [fast]), next_family(["frozen", "trained"], [fast, slow])
    ('trained', 'frozen')
    """
    known = {one.family for one in judged}
    untried = [name for name in names if name not in known and name not in begun]
    tried = [name for name in names if name in known]
    due = [name for name in untried if is_due(name)]
    if due or not tried:
        return (due or untried or names)[0]
    unit = sum(one.seconds for one in judged) / len(judged)

    def worth(name: str) -> float:
        own = [one for one in judged if one.family == name]
        return (sum(one.weight for one in own) + LEAST) / (sum(one.seconds for one in own) + unit)

    return max(tried, key=worth)
