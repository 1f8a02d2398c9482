"""The members that run before the sampled ones: recipes, combinations of frozen ones, and first members."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Fixed, Proposer, Range, Recipe, SubSpace, candidates

FEATURES = ("arch", "pretrained", "size", "resize", "resize_size")
"""Parameters that determine the features of frozen members; equal features are computed once."""

MOST_COMBINATIONS = 10_000
"""Largest number of combinations of a sub-space that are listed; the sampler chooses from more."""


@dataclass(frozen=True)
class FirstMember:
    """A member that is known before the search starts.

    Attributes:
        origin: Name of its recipe or sub-space.
        values: Its parameters, complete enough for `MemberConfig`.
        space: Sub-space that it comes from; None: a recipe.
        by: What proposes it.
    """

    origin: str
    values: Mapping[str, Any]
    space: SubSpace | None = None
    by: Proposer = Proposer.RECIPE

    @cached_property
    def frozen(self) -> bool:
        """Whether it is a frozen member."""
        return MemberConfig(**self.values).frozen

    def is_member(self, origin: str, config: MemberConfig) -> bool:
        """Return whether a proposal of this origin is this member, whatever its seed and its epochs.

        A member may have been shortened to the time that was left.
        """
        own = MemberConfig(**{"seed": config.seed, **self.values})
        return origin == self.origin and config.model_copy(update={"epochs": own.epochs}) == own


@dataclass(frozen=True)
class Beginning:
    """The known members of a search, and what remains to be sampled.

    Attributes:
        members: Members that run first, in order.
        sampled: Sub-spaces that the sampler proposes members from; (): every other member would be the same.
        lists: Name of a sub-space → its members in order, where the search decides when each is due.
    """

    members: tuple[FirstMember, ...]
    sampled: tuple[SubSpace, ...]
    lists: Mapping[str, tuple[FirstMember, ...]] = field(default_factory=dict)

    @property
    def most(self) -> int | None:
        """Number of different members; None: the sampler proposes any number."""
        return None if self.sampled else len(self.members) + sum(map(len, self.lists.values()))


def first_members(
    recipes: Sequence[Recipe],
    spaces: Sequence[SubSpace],
    *,
    seed: int,
    trials: int | None = None,
    by_share: bool = False,
) -> Beginning:
    """Return the members that run before the sampled ones.

    If all parameters of a frozen sub-space are choices, each of its combinations is among them once, in
    random order. Where other sub-spaces are to be sampled too, they get half of the trials at least, and all
    trials after these combinations. Otherwise those are sampled again whose members another seed changes.
    Frozen members come first, then recipes that train, then the first members of the sub-spaces, which take
    turns.

    Args:
        recipes: Recipes of the space.
        spaces: Its sub-spaces.
        seed: Seed of the order.
        trials: Number of trials, recipes included; None: no limit.
        by_share: Whether the search shares its time among the sub-spaces. Then the recipes alone run first,
            in their own order, and the combinations and the first members are lists of their own.
    """
    known = [FirstMember(recipe.name, recipe.values) for recipe in recipes]
    listed = [space for space in spaces if _is_listed(space)]
    others = tuple(space for space in spaces if not _is_listed(space))
    sampled = others or tuple(space for space in listed if _is_varied_by_seed(space))
    if by_share:
        return Beginning(tuple(known), sampled, _lists(listed, others, known))
    frozen = [*(one for one in known if one.frozen), *(one for space in listed for one in _first(space))]
    combinations = list(_combinations(listed, frozen))
    trained = [member for member in known if not member.frozen]
    left = len(combinations) if trials is None else max(0, trials - len(frozen) - len(trained))
    room = left // 2 if others and trials is not None else left
    order = np.random.default_rng([seed, len(combinations)]).permutation(len(combinations))
    members = (
        *frozen,
        *(combinations[place] for place in order[:room].tolist()),
        *trained,
        *_taking_turns([list(_first(space)) for space in others]),
    )
    return Beginning(members, sampled if room >= len(combinations) else tuple(spaces))


def _lists(
    listed: Sequence[SubSpace], others: Sequence[SubSpace], known: Sequence[FirstMember]
) -> dict[str, tuple[FirstMember, ...]]:
    """Return the lists of the sub-spaces that have one: their first members, then all combinations.

    Args:
        listed: Sub-spaces of which each combination runs.
        others: Other sub-spaces.
        known: Recipes, which run before.
    """
    frozen = [member for member in known if member.frozen]
    lists = {space.name: tuple(_first(space)) for space in others if space.first}
    for space in listed:
        before = [*frozen, *_first(space)]
        lists[space.name] = (*_first(space), *_in_turn(space, _combinations([space], before), before))
    return lists


def _first(space: SubSpace) -> Iterator[FirstMember]:
    """Yield the members that a sub-space names as the first."""
    return (FirstMember(space.name, values, space, Proposer.FIRST) for values in space.first)


def _taking_turns(lists: Sequence[Sequence[FirstMember]]) -> Iterator[FirstMember]:
    """Yield the first member of each list, then the second of each, and so on."""
    return (one for turn in itertools.zip_longest(*lists) for one in turn if one is not None)


def _is_listed(space: SubSpace) -> bool:
    domains = space.domains
    if domains.get("schedule") != Fixed("frozen") or any(isinstance(it, Range) for it in domains.values()):
        return False
    return math.prod(len(candidates(domain)) for domain in domains.values()) <= MOST_COMBINATIONS


def _is_varied_by_seed(space: SubSpace) -> bool:
    """Return whether frozen members of a sub-space may see another part of the images with another seed."""
    default = Fixed(MemberConfig.model_fields["subsample"].default)
    return any(share < 1 for share in candidates(space.domains.get("subsample", default)))


def _in_turn(
    space: SubSpace, members: Iterator[FirstMember], known: Sequence[FirstMember]
) -> tuple[FirstMember, ...]:
    """Return the members of a listed sub-space: new features first, and first choices before later ones.

    Args:
        space: The sub-space.
        members: Its members.
        known: Frozen members that run before them.
    """
    seen = Counter(map(_features, known))

    def rank(member: FirstMember) -> tuple[int, int]:
        seen[_features(member)] += 1
        places = (candidates(domain).index(member.values[name]) for name, domain in space.domains.items())
        return seen[_features(member)], sum(places)

    return tuple(sorted(members, key=rank))


def _features(member: FirstMember) -> tuple[Any, ...]:
    config = MemberConfig(**member.values)
    return tuple(getattr(config, name) for name in FEATURES)


def _combinations(spaces: Sequence[SubSpace], known: Sequence[FirstMember]) -> Iterator[FirstMember]:
    """Yield the members of sub-spaces without those that equal a recipe or an earlier one."""
    seen = {MemberConfig(**member.values) for member in known}
    for space in spaces:
        for chosen in itertools.product(*map(candidates, space.domains.values())):
            values = dict(zip(space.domains, chosen, strict=True))
            config = MemberConfig(**values)
            if config not in seen:
                seen.add(config)
                yield FirstMember(space.name, values, space, Proposer.LIST)
