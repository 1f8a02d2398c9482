"""Miniature search spaces for rehearsals: tiny models of the same families on small images."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.domains import Domain, Fixed, Range, Recipe, SubSpace, change_values, side_or_pair

FULL_SIDE = 224
"""Side, in px, that the given small side replaces."""

SIDE_STEP = 32
"""Divisor of every side, in px: patches, windows and strides of the tiny models divide it."""

_SIZES = ("size", "resize_size")


def settings_of_stand_ins(settings: SearchSettings) -> SearchSettings:
    """Return the settings for a machine without a GPU: each trial takes at most one CPU."""
    return settings.model_copy(update={"gpu": 0.0, "cpus": min(settings.cpus, 1.0)})


def recipe_of_stand_ins(recipe: Recipe, stand_in: Callable[[str], str], size: int) -> Recipe:
    """Return the miniature of a recipe; see `SearchSpace.with_stand_ins`."""
    return replace(recipe, values=_small_member(recipe.values, stand_in, size))


def _small_member(values: Mapping[str, Any], stand_in: Callable[[str], str], size: int) -> dict[str, Any]:
    small = _in_miniature({name: Fixed(value) for name, value in values.items()}, stand_in, size)
    return {name: domain.value for name, domain in small.items() if isinstance(domain, Fixed)}


def sub_space_of_stand_ins(space: SubSpace, stand_in: Callable[[str], str], size: int) -> SubSpace:
    """Return the miniature of a sub-space; see `SearchSpace.with_stand_ins`."""
    first = tuple(_small_member(values, stand_in, size) for values in space.first)
    return replace(space, domains=_in_miniature(space.domains, stand_in, size), first=first)


def _in_miniature(
    domains: Mapping[str, Domain], stand_in: Callable[[str], str], size: int
) -> dict[str, Domain]:
    full_size = Fixed(MemberConfig.model_fields["size"].default)
    sizes = {name: domains[name] for name in _SIZES if name in domains}
    return {
        **domains,
        **{name: _smaller(domain, size) for name, domain in {"size": full_size, **sizes}.items()},
        "arch": change_values(domains["arch"], stand_in),
        "pretrained": Fixed(False),
    }


def _smaller(domain: Domain, size: int) -> Domain:
    if not isinstance(domain, Range):
        return change_values(domain, lambda value: None if value is None else _smaller_size(value, size))
    low, high = (_smaller_side(side, size) for side in (domain.low, domain.high))
    return Fixed(low) if low == high else Range(low, high, step=SIDE_STEP, integer=True)


def _smaller_size(value: int | tuple[int, int], size: int) -> int | tuple[int, int]:
    if isinstance(value, int):
        return _smaller_side(value, size)
    pair: int | tuple[int, int] = side_or_pair(tuple(_smaller_side(side, size) for side in value))
    return pair


def _smaller_side(side: float, size: int) -> int:
    return max(SIDE_STEP, round(side * size / FULL_SIDE / SIDE_STEP) * SIDE_STEP)
