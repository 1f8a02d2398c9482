"""The frozen members of a built space: their networks and sides, by time and images."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tune_paddy.core.domains import Fixed, one_of
from tune_paddy.spaces.building.builder import (
    FROZEN_EACH,
    WALL,
    Builder,
    ChosenMember,
    ChosenSpace,
    shared_parameters,
)
from tune_paddy.spaces.building.estimates import Estimate, largest_side
from tune_paddy.spaces.space import SearchSpace

FROZEN_SHARE, FROZEN_MOST = 0.4, 6
"""Share of the time that frozen members which come first take together, and their largest number."""

SHARP_FROZEN = 128
"""Side that they should reach before they are many, in px."""

FROZEN_SIDES = (224, 192, 160, 128, 96, 64)
"""Sides of frozen members of the space `light`, in px."""

FURTHER_FROZEN, SMALLER = 3, 3 / 4
"""Most sides of further frozen members, and the largest ratio of each to the one before."""


@dataclass(frozen=True)
class FrozenMembers:
    """Chooses frozen members.

    Attributes:
        builder: Builder of the space.
        spaces: Shipped spaces, the preferred first.
    """

    builder: Builder
    spaces: Sequence[SearchSpace]

    def first(self) -> list[ChosenMember]:
        """Return the members that come first, as many as their share of the time allows; sharp ones first.

        Where time is short, one sharp member comes before blurred ones, though it takes longer, and any
        member before networks that train for an epoch or two.
        """
        sharp = min(SHARP_FROZEN, largest_side(self.builder.facts.images, pretrained=True, frozen=True))
        plans = (
            (sharp, FROZEN_SHARE, FROZEN_EACH),
            (sharp, FROZEN_SHARE, FROZEN_SHARE),
            (sharp, WALL, WALL),
            (0, FROZEN_SHARE, FROZEN_EACH),
            (0, WALL, WALL),
        )
        found = next(filter(None, (self._beside([], *plan) for plan in plans)), [])
        return found + self._beside(found, 0, FROZEN_SHARE, FROZEN_EACH)

    def _beside(
        self, known: Sequence[ChosenMember], least: float, share: float, each: float
    ) -> list[ChosenMember]:
        """Return the members that a share of the time allows beside known ones.

        Args:
            known: Members that are chosen; a network is chosen once.
            least: Their least side, in px.
            share: Share of the time of all concurrent trials that all may take together.
            each: Share of the time that one may take.
        """
        found: dict[str, ChosenMember] = {}
        archs = {member.values["arch"] for member in known}
        left = share * self.builder.capacity - sum(member.estimate.seconds for member in known)
        for values, sides in frozen_recipes(self.spaces):
            if values["arch"] in archs | set(found) or len(known) + len(found) == FROZEN_MOST:
                continue
            limit = min(left, each * self.builder.facts.seconds)
            member = self.member(values, [side for side in sides if side >= least], limit)
            if member is not None:
                found[values["arch"]] = member
                left -= member.estimate.seconds
        return list(found.values())

    def further(self, frozen: Sequence[ChosenMember]) -> ChosenSpace | None:
        """Return the networks of frozen members at their own and smaller sides; None: they take one side.

        A smaller side costs less, and its features are others: an ensemble of all sides was better than one
        of the largest alone on three of five sets (benchmarks/search_efficiency). The largest side is the one
        with the most combinations of networks and sides.

        Args:
            frozen: The frozen members.
        """
        flexible = {values["arch"] for values, sides in frozen_recipes(self.spaces) if len(sides) > 1}
        own = [member for member in frozen if member.values["arch"] in flexible]
        largest = sorted({member.values["size"] for member in own}, reverse=True)
        plans = [(sides, self._at_all(sides, own)) for side in largest if len(sides := _apart(side)) > 1]
        sides, possible = max(plans, key=lambda plan: len(plan[0]) * len(plan[1]), default=([], {}))
        if not possible:
            return None
        shared = {name: Fixed(value) for name, value in own[0].values.items() if name not in ("arch", "size")}
        domains = {"arch": one_of(possible), "size": one_of(sides), **shared}
        return ChosenSpace("frozen", domains, tuple(itertools.chain(*possible.values())))

    def _at_all(self, sides: Sequence[int], members: Sequence[ChosenMember]) -> dict[str, list[Estimate]]:
        """Return the forecasts of frozen networks at sides, of those that are possible at all of them."""
        limit = FROZEN_EACH * self.builder.facts.seconds
        possible: dict[str, list[Estimate]] = {}
        for member in members:
            found = [self.member(member.values, [side], limit) for side in sides]
            if all(found):
                possible[member.values["arch"]] = [one.estimate for one in found if one is not None]
        return possible

    def member(self, known: Mapping[str, Any], sides: Sequence[int], limit: float) -> ChosenMember | None:
        """Return a frozen member at its largest side that ends within a limit in s; None: there is none."""
        kept = {name: known[name] for name in ("arch", "schedule", "resize")}
        values = kept | self.builder.views(frozen=True)
        shared = shared_parameters(self.builder.facts, pretrained=True)
        for side in sides:
            estimate = self.builder.possible({**shared, **values, "size": side}, limit)
            if estimate is not None:
                short = estimate.config.short_name.rpartition("-")[0]
                return ChosenMember(f"frozen-{short}", {**values, "size": side}, estimate)
        return None


def _apart(largest: int) -> list[int]:
    """Return sides of frozen members from the largest one down, each clearly smaller than the one before.

    >>> _apart(224), _apart(128), _apart(64), _apart(0)
    ([224, 160, 96], [128, 96, 64], [64], [])
    """
    found: list[int] = []
    for side in FROZEN_SIDES:
        if side <= (SMALLER * found[-1] if found else largest):
            found.append(side)
    return found[:FURTHER_FROZEN]


def frozen_recipes(spaces: Sequence[SearchSpace]) -> list[tuple[Mapping[str, Any], tuple[int, ...]]]:
    """Return the frozen recipes of shipped spaces, each with its sides in px, the largest first."""
    return [
        (recipe.values, FROZEN_SIDES if space.name == "light" else (recipe.values["size"],))
        for space in spaces
        for recipe in space.recipes
        if recipe.values.get("schedule") == "frozen"
    ]
