"""Build a search space from facts: pure, and quick enough to build thousands of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tune_paddy.core.errors import InputError
from tune_paddy.spaces.building.choice import choose
from tune_paddy.spaces.building.facts import Facts
from tune_paddy.spaces.building.text import space_text, summary
from tune_paddy.spaces.space import SearchSpace, find_space

NAME = "built"
"""Name of a built space, and so the beginning of the names of its searches."""

SOURCES = ("strong", "light", "scratch")
"""Shipped spaces whose networks and ranges a built space has."""


@dataclass(frozen=True)
class BuiltSpace:
    """A built space.

    Attributes:
        space: The space; its text has the reason of each choice in a comment.
        lines: What it trains in its time and what it leaves out, one line each.
    """

    space: SearchSpace
    lines: tuple[str, ...]


def require_buildable(settings: Mapping[str, Any], ray_address: str | None) -> None:
    """Check that a space can be built: there is a time budget, and the trials run on this machine.

    Args:
        settings: Settings that the user chose: setting → value.
        ray_address: Address of a Ray cluster; None: this machine.

    Raises:
        InputError: One of them is missing.
    """
    if settings.get("minutes") is None:
        raise InputError("give `space`, or `minutes`, for which one is built", options=("space", "minutes"))
    if ray_address is not None:
        raise InputError("a space is built for this machine alone; give `space`", options=("space",))


@cache
def source_spaces() -> Mapping[str, SearchSpace]:
    """Return the spaces of `SOURCES` by name."""
    return {name: SearchSpace.load(find_space(name)) for name in SOURCES}


def build_space(facts: Facts) -> BuiltSpace:
    """Build a search space.

    Args:
        facts: The images, the machine and the time.

    Raises:
        InputError: Nothing fits the memory or the time, or no network can be used.
    """
    chosen = choose(facts, source_spaces())
    space = SearchSpace.parse(space_text(facts, chosen), name=NAME)
    return BuiltSpace(space, tuple(summary(facts, chosen)))
