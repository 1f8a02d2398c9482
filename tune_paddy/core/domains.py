"""What a parameter of a search space may be: one value, one of several, or a number in a range."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tune_paddy.core.config import MemberConfig

_NO_PART_OF_THE_QUESTION = ("seed", "accum")
_OUTSIDE = object()
_GRID_TOLERANCE = 1e-6


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


def largest(domain: Domain) -> Any:
    """The largest value of a domain of numbers."""
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
    """The domain of some values, repeated ones merged: a choice, or a fixed value where one is left.

    Raises:
        ValueError: There are no values.
    """
    different = tuple(dict.fromkeys(values))
    if not different:
        raise ValueError("a domain needs at least one value")
    return Choice(different) if len(different) > 1 else Fixed(different[0])


def change_values(domain: Domain, change: Callable[[Any], Any]) -> Domain:
    """Change a fixed value or each choice, and merge what became equal; a range stays as it is."""
    if isinstance(domain, Range):
        return domain
    values = domain.values if isinstance(domain, Choice) else (domain.value,)
    return one_of(map(change, values))


def side_or_pair(value: Any) -> Any:
    """Write the (height, width) of a square as its side, and leave every other value as it is.

    >>> side_or_pair((224, 224)), side_or_pair((320, 224)), side_or_pair("crop")
    (224, (320, 224), 'crop')
    """
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def locate(values: Mapping[str, Any], spaces: Sequence[SubSpace]) -> tuple[int, dict[str, Any]] | None:
    """Find the sub-space that could have drawn a recipe, so that its score can teach the sampler.

    Parameters that a recipe or a sub-space leaves out have their defaults. `seed` and `accum` are passed
    over where the sub-space does not search them: they change neither the question nor, but for noise,
    the answer.

    Args:
        values: A recipe's values, complete enough for `MemberConfig(**values)`.
        spaces: In the order in which they are tried.

    Returns:
        The first such sub-space's index and, for each parameter that it searches, the recipe's value as
        the sub-space writes it; None if there is no such sub-space.
    """
    config = MemberConfig(**values)
    for index, space in enumerate(spaces):
        point = _point(config, space)
        if point is not None:
            return index, point
    return None


def _point(config: MemberConfig, space: SubSpace) -> dict[str, Any] | None:
    point: dict[str, Any] = {}
    for parameter, field in MemberConfig.model_fields.items():
        domain = space.domains.get(parameter, Fixed(field.default))
        if isinstance(domain, Fixed) and parameter in _NO_PART_OF_THE_QUESTION:
            continue
        value = _as_written(domain, side_or_pair(getattr(config, parameter)))
        if value is _OUTSIDE:
            return None
        if not isinstance(domain, Fixed):
            point[parameter] = value
    return point


def _as_written(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Range):
        return value if domain.contains(value) and _is_on_grid(domain, value) else _OUTSIDE
    options = (domain.value,) if isinstance(domain, Fixed) else domain.values
    return next((option for option in options if side_or_pair(option) == value), _OUTSIDE)


def _is_on_grid(domain: Range, value: float) -> bool:
    steps = 0.0 if domain.step is None else (value - domain.low) / domain.step
    return abs(steps - round(steps)) < _GRID_TOLERANCE
