"""What a parameter of a search space may be: one value, one of several, or a number in a range."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fixed:
    """One value, the same in every trial."""

    value: Any


@dataclass(frozen=True)
class Choice:
    """One of several values; at least two, all different."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included.

    Attributes:
        low: Smallest value.
        high: Largest value, greater than `low`.
        log: Sampled evenly in its logarithm; `low` must be positive, and there is no step.
        step: Distance between allowed values, counted from `low`; None: continuous (integers: 1).
        integer: Whether only whole numbers are meant.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    integer: bool = False

    def contains(self, value: Any) -> bool:
        """Whether `value` lies in the range (the step is not looked at)."""
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        )


Domain = Fixed | Choice | Range


@dataclass(frozen=True)
class SubSpace:
    """One sub-space: a name and the domain of every parameter that it sets."""

    name: str
    domains: Mapping[str, Domain]


@dataclass(frozen=True)
class Recipe:
    """A fixed member: a name and the values of its parameters, defaults applied."""

    name: str
    values: Mapping[str, Any]
