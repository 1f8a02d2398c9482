"""Choose the members of a built space among those of the shipped ones, by memory, time and images."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tune_paddy.core.domains import Fixed, Range, candidates, middle
from tune_paddy.core.errors import InputError
from tune_paddy.core.timing.forecast import spoken
from tune_paddy.spaces.building.builder import (
    FURTHER_SIDES,
    MEMORY,
    TIME,
    WALL,
    Builder,
    ChosenMember,
    ChosenSpace,
    expected_members,
    shared_parameters,
)
from tune_paddy.spaces.building.facts import Facts
from tune_paddy.spaces.building.frozen import FrozenMembers, frozen_recipes
from tune_paddy.spaces.space import SearchSpace

MOST_TRIALS = 2000

KNOWN_FROZEN = 2
"""Frozen members that come first where others follow by their share of the time."""


@dataclass(frozen=True)
class Chosen:
    """Content of a built space.

    Attributes:
        defaults: Parameters that all members share.
        frozen: Recipes of frozen members.
        recipes: Recipes of members that train.
        spaces: Sub-spaces.
        epochs: Epochs of members that train; 0: none do.
        networks: Number of networks that train for as many epochs.
        expected: Number of their members if all time that frozen ones leave is theirs.
        trials: Number of trials, which the time is expected to end earlier.
        left_out: Reason → number of networks that were left out for it.
    """

    defaults: Mapping[str, Any]
    frozen: tuple[ChosenMember, ...]
    recipes: tuple[ChosenMember, ...]
    spaces: tuple[ChosenSpace, ...]
    epochs: int
    networks: int
    expected: int
    trials: int
    left_out: Mapping[str, int]


def choose(facts: Facts, shipped: Mapping[str, SearchSpace]) -> Chosen:
    """Choose the content of a space.

    Args:
        facts: The facts.
        shipped: The shipped spaces `strong`, `light` and `scratch`.

    Raises:
        InputError: No network can be used, fits the memory, or ends in the time.
    """
    left_out: dict[str, str] = {}
    for names in (("strong", "light"), ("scratch",)):
        builder = Builder(facts, left_out)
        spaces = [shipped[name] for name in names]
        members = FrozenMembers(builder, spaces)
        frozen = members.first()
        used = sum(member.estimate.seconds for member in frozen)
        epochs, subs = builder.trained(spaces, used)
        if frozen or subs:
            chosen = _content(builder, frozen, epochs, subs, used)
            further = members.further(frozen)
            untrained = Builder(facts).untrained(shipped["scratch"]) if names[0] != "scratch" else None
            return _with_families(builder, chosen, further, untrained)
        usable = set(builder.left_out.values()) & {MEMORY, TIME}
        if usable:  # pretrained networks are better, once there is the memory and the time
            break
    raise _nothing(builder, spaces)


def _content(
    builder: Builder, frozen: list[ChosenMember], epochs: int, subs: list[ChosenSpace], used: float
) -> Chosen:
    facts, left = builder.facts, builder.capacity - used
    pretrained = bool(frozen) or any(one.config.pretrained is True for sub in subs for one in sub.members)
    expected = expected_members(subs, left)
    shortest = min((one.seconds for sub in subs for one in sub.members), default=math.inf)
    trials = len(frozen) + min(MOST_TRIALS, math.ceil(2 * left / shortest) + 4 if subs else 0)
    return Chosen(
        defaults={
            **shared_parameters(facts, pretrained=pretrained),
            **({"epochs": epochs} if epochs else {}),
        },
        frozen=tuple(frozen),
        recipes=(),
        spaces=tuple(subs),
        epochs=epochs,
        networks=len({one.config.arch for sub in subs for one in sub.members}),
        expected=expected,
        trials=max(trials, 1),
        left_out=_counts(builder, frozen, subs),
    )


def _with_families(
    builder: Builder, chosen: Chosen, frozen: ChosenSpace | None, untrained: ChosenSpace | None
) -> Chosen:
    """Return a content with recipes, further frozen members, and networks without pretrained weights.

    The search gives them time as far as they give the ensemble weight, see `next_family`.
    """
    further = [one for one in (frozen, untrained) if one is not None]
    seconds = [one.seconds for space in further for one in space.members]
    left = builder.capacity - sum(member.estimate.seconds for member in chosen.frozen)
    most = math.ceil(2 * left / min(seconds)) if seconds else 0
    known_frozen, views = chosen.frozen, builder.views(frozen=False)
    if frozen is not None:  # some are enough to judge the others by
        listed = candidates(frozen.domains["arch"])
        first = [member for member in known_frozen if member.values["arch"] in listed][:KNOWN_FROZEN]
        known_frozen = tuple(one for one in known_frozen if one in first or one.values["arch"] not in listed)
    # Beside frozen members the search tries each sub-space when it takes a small share of the time.
    tried = () if known_frozen and further else chosen.spaces
    recipes = tuple(_recipe(sub, views) for sub in tried if not sub.first)
    if untrained is not None and not untrained.first:
        recipes = (_recipe(untrained, views, slowest=True), *recipes)
    return replace(
        chosen,
        frozen=known_frozen,
        recipes=recipes,
        spaces=(*([frozen] if frozen else []), *chosen.spaces, *([untrained] if untrained else [])),
        trials=min(MOST_TRIALS, max(chosen.trials, len(chosen.frozen) + most)),
    )


def _recipe(sub: ChosenSpace, views: Mapping[str, Any], *, slowest: bool = False) -> ChosenMember:
    """Return a known member of a sub-space with middling values: its fastest network, or its slowest."""
    pick = max if slowest else min
    estimate = pick(sub.members, key=lambda one: one.seconds)
    lr = sub.domains["lr"]
    rate = {"lr": middle(lr)} if isinstance(lr, Range) else {}
    kind = {name: domain.value for name, domain in sub.domains.items() if isinstance(domain, Fixed)}
    values = {**kind, "arch": estimate.config.arch, "size": estimate.config.size[0], **rate, **views}
    return ChosenMember(f"{sub.name}-first", values, estimate)


def _counts(builder: Builder, frozen: Sequence[ChosenMember], subs: Sequence[ChosenSpace]) -> dict[str, int]:
    """Return why networks were left out, and how many."""
    used = {member.estimate.config.arch for member in frozen}
    used |= {one.config.arch for sub in subs for one in sub.members}
    found: dict[str, int] = {}
    for arch, why in builder.left_out.items():
        if arch not in used:
            found[why] = found.get(why, 0) + 1
    return found


def _nothing(builder: Builder, spaces: Sequence[SearchSpace]) -> InputError:
    """Return why there is nothing to choose, and what to do."""
    facts, reasons = builder.facts, set(builder.left_out.values())
    if TIME in reasons:
        least = min(_shortest(builder, spaces), default=0.0)
        needed = math.ceil(1.1 * (facts.minutes + (least / WALL - facts.seconds) / 60))
        left = f"{spoken(facts.seconds)} are" if facts.seconds > 0 else "nothing is"
        return InputError(
            f"`minutes={facts.minutes:g}`: the fastest member takes about {spoken(least)} on this machine, "
            f"and {left} left for it; give `minutes={needed}` or more",
            options=("minutes",),
        )
    if MEMORY in reasons:
        where = "the GPU" if facts.machine.on_gpu else "this machine"
        return InputError(
            f"no network fits the {builder.estimates.room_mib:,.0f} MiB that a trial has on {where}; "
            + (
                "give `gpu=0` to train on the CPU, or a larger share"
                if facts.machine.on_gpu
                else "free memory"
            ),
            options=("gpu",),
        )
    why = "; ".join(sorted(reasons)) or "none is known"
    return InputError(f"no network can be used: {why}; give `space`", options=("space",))


def _shortest(builder: Builder, spaces: Sequence[SearchSpace]) -> Iterator[float]:
    """Yield the times of the shortest members that fit, in s."""
    frozen = FrozenMembers(builder, spaces)
    for values, sides in frozen_recipes(spaces):
        member = frozen.member(values, sides[::-1], math.inf)
        if member is not None:
            yield member.estimate.seconds
    for sub in (sub for space in spaces for sub in space.spaces):
        side = min([*candidates(sub.domains["size"]), *FURTHER_SIDES.get(sub.name, ())])
        for arch in candidates(sub.domains["arch"]):
            estimate = builder.possible(
                {**builder.shared(sub), "epochs": 1, "arch": arch, "size": side}, math.inf
            )
            if estimate is not None:
                yield estimate.seconds
