"""Domains of a search space's parameters: a fixed value, a choice of values, or a range of numbers."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tune_paddy.core.config import TRAINING_ONLY, MemberConfig

_NO_PART_OF_THE_QUESTION = ("seed", "accum")
_OUTSIDE = object()
_GRID_TOLERANCE = 1e-6


class Proposer(StrEnum):
    """What proposed a member of a search; the record and the reports use these words."""

    RECIPE = "recipe"
    """The space names the member itself."""
    LIST = "list"
    """The member is one of a small frozen sub-space, of which each combination is tried."""
    FIRST = "first"
    """The member is one of those that its sub-space names as the first to try."""
    MIDDLE = "middle"
    """The first member of a sub-space: the first choices, and the middles of the ranges."""
    RANDOM = "random"
    """A random draw from a sub-space, as long as the sampler knows too few results."""
    SAMPLER = "sampler"
    """A draw from a sub-space near the members with the best results."""
    REPEAT = "repeat"
    """A member with a weight in the ensemble, again with another seed, in time that no other member fits."""


@dataclass(frozen=True)
class Fixed:
    """One value, the same in every trial."""

    value: Any


@dataclass(frozen=True)
class Choice:
    """Two or more distinct values."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included.

    Attributes:
        low: Smallest value.
        high: Largest value, greater than `low`.
        log: Whether sampling is uniform in the logarithm; requires a positive `low` and no `step`.
        step: Distance between allowed values, from `low`; None: continuous (integers: 1).
        integer: Whether only integers are allowed.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    integer: bool = False

    def contains(self, value: Any) -> bool:
        """Return whether `value` lies in the range; ignores the step."""
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        )


Domain = Fixed | Choice | Range


@dataclass(frozen=True)
class SubSpace:
    """Sub-space: a name and the domain of every parameter that it sets.

    Attributes:
        name: Name of the sub-space.
        domains: Parameter → domain.
        first: Values of all these parameters, of each member that is tried before others, in order.
    """

    name: str
    domains: Mapping[str, Domain]
    first: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Recipe:
    """Fixed member configuration: a name and parameter values, defaults applied."""

    name: str
    values: Mapping[str, Any]


def middle(domain: Domain) -> Any:
    """Return a middling value: the first choice, or the middle of a range, with two significant digits.

    >>> middle(Choice((128, 96))), middle(Range(0.001, 0.1, log=True)), middle(Range(3, 8, integer=True))
    (128, 0.01, 5)
    """
    if isinstance(domain, Fixed):
        return domain.value
    if isinstance(domain, Choice):
        return domain.values[0]
    value = math.sqrt(domain.low * domain.high) if domain.log else (domain.low + domain.high) / 2
    step = domain.step or (1 if domain.integer else None)
    if step is None:
        return float(f"{value:.2g}")
    whole = domain.low + round((value - domain.low) / step) * step
    return int(whole) if domain.integer else whole


def largest(domain: Domain) -> Any:
    """Return the largest value of a numeric domain."""
    if isinstance(domain, Fixed):
        return domain.value
    if isinstance(domain, Choice):
        return max(domain.values)
    return int(domain.high) if domain.integer else domain.high


def candidates(domain: Domain) -> tuple[Any, ...]:
    """What a parameter may be, one by one; of a range its upper end.

    >>> candidates(Choice((32, 64))), candidates(Fixed("crop"))
    ((32, 64), ('crop',))
    """
    if isinstance(domain, Choice):
        return domain.values
    if isinstance(domain, Fixed):
        return (domain.value,)
    return (largest(domain),)


def one_of(values: Iterable[Any]) -> Fixed | Choice:
    """Merge repeated values, and return a choice, or a fixed value if only one is left.

    Raises:
        ValueError: `values` is empty.
    """
    different = tuple(dict.fromkeys(values))
    if not different:
        raise ValueError("a domain needs at least one value")
    return Choice(different) if len(different) > 1 else Fixed(different[0])


def change_values(domain: Domain, change: Callable[[Any], Any]) -> Domain:
    """Apply `change` to a fixed value or to each choice, and merge equal results; return ranges unchanged."""
    if isinstance(domain, Range):
        return domain
    values = domain.values if isinstance(domain, Choice) else (domain.value,)
    return one_of(map(change, values))


def side_or_pair(value: Any) -> Any:
    """Return the side for the (height, width) of a square, and every other value unchanged.

    >>> side_or_pair((224, 224)), side_or_pair((320, 224)), side_or_pair("crop")
    (224, (320, 224), 'crop')
    """
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def locate(values: Mapping[str, Any], spaces: Sequence[SubSpace]) -> tuple[int, dict[str, Any]] | None:
    """Find the sub-space that could have produced a recipe, so that the sampler can use its score.

    Parameters that a recipe or a sub-space omits have their defaults. `seed` and `accum` are ignored where
    the sub-space does not search them, since they change the score only by noise, and so are parameters
    without effect on a frozen member.

    Args:
        values: Recipe values, complete enough for `MemberConfig(**values)`.
        spaces: Sub-spaces, in order of preference.

    Returns:
        The index of the first such sub-space and, for each parameter that it searches, the recipe's value
        in the form that the sub-space uses; None if there is no such sub-space.
    """
    config = MemberConfig(**values)
    for index, space in enumerate(spaces):
        point = _point(config, space)
        if point is not None:
            return index, point
    return None


def _point(config: MemberConfig, space: SubSpace) -> dict[str, Any] | None:
    point: dict[str, Any] = {}
    ignored = (*_NO_PART_OF_THE_QUESTION, *(TRAINING_ONLY if config.frozen else ()))
    for parameter, field in MemberConfig.model_fields.items():
        domain = space.domains.get(parameter, Fixed(field.default))
        if isinstance(domain, Fixed) and parameter in ignored:
            continue
        value = _as_written(domain, side_or_pair(getattr(config, parameter)))
        if value is _OUTSIDE:
            return None
        if not isinstance(domain, Fixed):
            point[parameter] = value
    return point


def holds(domain: Domain, value: Any) -> bool:
    """Return whether a parameter may have a value.

    >>> holds(Choice((64, 96)), 96), holds(Range(0.001, 0.1), 0.2), holds(Range(3, 9, step=2), 4)
    (True, False, False)
    """
    return _as_written(domain, side_or_pair(value)) is not _OUTSIDE


def _as_written(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Range):
        return value if domain.contains(value) and _is_on_grid(domain, value) else _OUTSIDE
    options = (domain.value,) if isinstance(domain, Fixed) else domain.values
    return next((option for option in options if side_or_pair(option) == value), _OUTSIDE)


def _is_on_grid(domain: Range, value: float) -> bool:
    steps = 0.0 if domain.step is None else (value - domain.low) / domain.step
    return abs(steps - round(steps)) < _GRID_TOLERANCE
