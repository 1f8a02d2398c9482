"""The families of members that a space can be built of: by memory, time and images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tune_paddy.core.domains import (
    Choice,
    Domain,
    Fixed,
    Range,
    SubSpace,
    candidates,
    holds,
    middle,
    one_of,
)
from tune_paddy.spaces.building.estimates import Estimate, Estimates, largest_side
from tune_paddy.spaces.building.facts import Facts
from tune_paddy.spaces.space import SearchSpace

PLANS = ((8, 12), (8, 8), (4, 12), (4, 8), (8, 5), (4, 5), (4, 3), (2, 5), (2, 3), (1, 3), (1, 1))
"""(trained members, epochs), the best first: the first plan that some network meets is taken."""

FROZEN_EACH = 1 / 6
"""Largest share of the time that a frozen member takes, or an untrained one beside it."""

WALL = 0.8
"""Largest share of the time that one member may take."""

FURTHER_SIDES: Mapping[str, tuple[int, ...]] = {
    "light": (64, 96, 128, 160, 192, 224),
    "scratch": (32, 48, 64, 96, 128, 160, 224),
    "small": (128, 160),
}
"""Sub-space → sides for smaller or larger images than its own, in px, which all its networks take."""

PROBE, UNTRAINED_EPOCHS = 1 / 20, 16
"""Of a member that trains from random parameters beside pretrained ones: its largest share of the time of all
concurrent trials, and its epochs."""

MOST_NETWORKS = 2 / 3
"""Share of these networks that a side needs: a larger network gave more than larger images."""

SHARP = 96
"""Side that members which train should reach before they are many, in px."""

IMAGES, MEMORY, TIME = "need larger images", "need more memory", "need more time"
"""Reasons to leave a network out at one size."""

LONG = 10
"""Fewest epochs with which mixed images pay: they slow the first epochs."""

_FITTED_UP_TO = 5000
"""Images to train on up to which the members of `light` begin with a fitted head; 4,000 were measured."""

_FITTED: Mapping[str, Domain] = {
    "head": Fixed("fitted"),
    "schedule": Fixed("one_cycle"),
    "dropout": Fixed(0.1),
    "lr": Range(0.0001, 0.0006, log=True),
}
"""Parameters of members that begin with a fitted head."""

_FAMILIES = 2
"""Number of sub-spaces that a built space has at least, if so many are possible: families err differently."""

_FEW = 1000
"""Labelled images below which every member sees all."""

_BATCHES = {64: 2500, 32: 500, 16: 0}
"""Batch size → images to train on from which an epoch has enough steps."""


@dataclass(frozen=True)
class ChosenMember:
    """A recipe of a built space.

    Attributes:
        name: Name of the recipe.
        values: Parameter → value, without those of the defaults.
        estimate: Forecast of the member.
    """

    name: str
    values: Mapping[str, Any]
    estimate: Estimate


@dataclass(frozen=True)
class ChosenSpace:
    """A sub-space of a built space.

    Attributes:
        name: Name of the sub-space.
        domains: Parameter → domain, without those of the defaults.
        members: Forecasts of its architectures at its sizes.
        first: Members to try first, in order: parameter → value, without middling ones.
    """

    name: str
    domains: Mapping[str, Domain]
    members: tuple[Estimate, ...]
    first: tuple[Mapping[str, Any], ...] = ()


@dataclass
class Builder:
    """Builds the content of a space.

    Attributes:
        facts: The facts.
        estimates: Forecasts of members.
        left_out: Architecture → why it is left out.
    """

    facts: Facts
    estimates: Estimates = field(init=False)
    left_out: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.estimates = Estimates(self.facts)

    @property
    def capacity(self) -> float:
        """Time of all concurrent trials together, in s."""
        return self.facts.seconds * self.facts.machine.at_once

    def untrained(self, scratch: SearchSpace) -> ChosenSpace | None:
        """Return networks that train from random parameters, if their members cost little; None: none does.

        Images that are unlike photographs may need them: with 300 digits to learn from, the best frozen
        member had four to six times their log loss (benchmarks/search_efficiency).

        Args:
            scratch: The shipped space `scratch`.
        """
        limit = min(PROBE * self.capacity, FROZEN_EACH * self.facts.seconds)
        found = self._sub_space(scratch.spaces[0], UNTRAINED_EPOCHS, 0, limit, share=MOST_NETWORKS)
        if found is None:
            return None
        kind = {"pretrained": False, "schedule": "one_cycle", "epochs": UNTRAINED_EPOCHS}
        own = {name: Fixed(value) for name, value in kind.items()}
        return replace(found, domains={**own, **found.domains})

    def _sharp(self, side: int) -> float:
        """Return a side in px, or the largest one that the images justify."""
        return min(side, largest_side(self.facts.images, pretrained=True))

    def views(self, *, frozen: bool) -> dict[str, Any]:
        """Return the flips of a known member: images without colour may be signs that a mirror changes."""
        if not frozen:
            return {"flip": "none"} if self.facts.images.gray else {}
        if self.facts.images.gray:
            return {"flip": "none", "tta": 0}
        return {"flip": "horizontal", "flip_view": True, "tta": 0}

    def possible(self, values: Mapping[str, Any], limit: float) -> Estimate | None:
        """Return the forecast of a member that can be used, fits, and ends within a limit in s."""
        arch, frozen = str(values["arch"]), values["schedule"] == "frozen"
        most = largest_side(self.facts.images, pretrained=bool(values["pretrained"]), frozen=frozen)
        estimate = self.estimates.of(**values)
        why = self.facts.refused.get(arch)
        if why is None and values["size"] > most:
            why = IMAGES
        elif why is None and estimate is not None:
            why = MEMORY if not estimate.fits else TIME if estimate.seconds > limit else None
        if why is None:
            return estimate
        self._leave_out(arch, why)
        return None

    def _leave_out(self, arch: str, why: str) -> None:
        """Note why an architecture is left out: the last obstacle that it met at any size."""
        order = (IMAGES, MEMORY, TIME)
        known = self.left_out.get(arch)
        if known not in order or (why in order and order.index(why) > order.index(known)):
            self.left_out[arch] = why

    def trained(self, spaces: Sequence[SearchSpace], used: float) -> tuple[int, list[ChosenSpace]]:
        """Return the epochs and the sub-spaces of the first plan that a network meets; (0, []): none does.

        Args:
            spaces: Shipped spaces, the preferred first.
            used: Time of the frozen members, in s.
        """
        left = self.capacity - used
        sharp = [(members, epochs, self._sharp(SHARP)) for members, epochs in PLANS]
        for members, epochs, least in [*sharp, *((members, epochs, 0) for members, epochs in PLANS)]:
            limit = min(left / members, WALL * self.facts.seconds)
            for space in spaces:
                found = [self._sub_space(sub, epochs, least, limit) for sub in space.spaces]
                chosen = [one for one in found if one is not None]
                if chosen:
                    return epochs, _enough(chosen, left)
        return 0, []

    def _sub_space(
        self, sub: SubSpace, epochs: int, least: float, limit: float, *, share: float = 1 / 2
    ) -> ChosenSpace | None:
        """Return a sub-space with the architectures and sizes that are possible; None: there are none.

        Args:
            sub: Sub-space of a shipped space.
            epochs: Epochs of its members.
            least: Smallest side, in px.
            limit: Longest time of a member, in s.
            share: As for `_product`.
        """
        shared = {**self.shared(sub), "epochs": epochs}
        sides = [side for side in candidates(sub.domains["size"]) if isinstance(side, int)]
        sides = sorted(side for side in {*sides, *FURTHER_SIDES.get(sub.name, ())} if side >= least)
        possible: dict[int, dict[str, Estimate]] = {}
        for side in sides:
            for arch in candidates(sub.domains["arch"]):
                estimate = self.possible({**shared, "arch": arch, "size": side}, limit)
                if estimate is not None:
                    possible.setdefault(side, {})[arch] = estimate
        if not possible:
            return None
        kept, archs = _product(possible, share)
        estimates = tuple(possible[side][arch] for arch in archs for side in kept)
        domains = self._domains(sub, archs, kept, epochs)
        return ChosenSpace(sub.name, domains, estimates, tuple(_first(sub, domains)))

    def _domains(
        self, sub: SubSpace, archs: Sequence[str], sides: Sequence[int], epochs: int
    ) -> dict[str, Domain]:
        """Return the domains of a sub-space, adapted to the images and the epochs."""
        images = self.facts.images
        domains = {
            name: domain
            for name, domain in sub.domains.items()
            if not isinstance(domain, Fixed) and name not in ("arch", "size", "epochs")
        }
        if images.is_square:
            domains.pop("resize", None)
        if images.gray:
            domains["flip"] = Choice(("none", "horizontal"))
        if epochs < LONG:
            domains = {name: domain for name, domain in domains.items() if name not in ("mixup", "cutmix")}
        return {"arch": one_of(list(archs)), "size": one_of(list(sides)), **domains, **self._kind(sub)}

    def shared(self, sub: SubSpace) -> dict[str, Any]:
        """Return the parameters that all members of a sub-space share."""
        pretrained = sub.domains.get("pretrained", Fixed(True)) == Fixed(True)
        own = {name: domain.value for name, domain in self._kind(sub).items() if isinstance(domain, Fixed)}
        return {**shared_parameters(self.facts, pretrained=pretrained), **own}

    def _kind(self, sub: SubSpace) -> Mapping[str, Domain]:
        """Return what a built sub-space has in place of the shipped one's.

        Of few images, members that begin with a random head learn less in some epochs than the fit of a head
        alone (benchmarks/recipes.py).
        """
        return _FITTED if sub.name == "light" and self.facts.load.train <= _FITTED_UP_TO else {}


def _first(sub: SubSpace, domains: Mapping[str, Domain]) -> Iterator[dict[str, Any]]:
    """Yield the first members of a shipped sub-space as far as a built one has them, without middling values.

    Sizes go by their order: the smallest side of the one is the smallest of the other.

    Args:
        sub: The shipped sub-space.
        domains: Domains of the built one.
    """
    ours, theirs = (sorted(candidates(its["size"])) for its in (domains, sub.domains))
    for values in sub.first:
        if not holds(domains["arch"], values["arch"]):
            continue
        place = theirs.index(values["size"]) / max(1, len(theirs) - 1)
        sized = {**values, "size": ours[round(place * (len(ours) - 1))]}
        yield {
            name: sized[name]
            for name, domain in domains.items()
            if name in sized and not isinstance(domain, Fixed) and holds(domain, sized[name])
            if name == "size" or sized[name] != middle(sub.domains[name])
        }


def _product(possible: Mapping[int, Mapping[str, Estimate]], share: float) -> tuple[list[int], list[str]]:
    """Return at most two sides, the largest ones, and the architectures that are possible at all of them.

    Args:
        possible: Side → architecture → its member.
        share: A side at which fewer architectures are possible, as a share of the most, is given up.
    """
    sides = sorted(possible)
    most = max(len(possible[side]) for side in sides)
    wide = [side for side in sides if len(possible[side]) >= share * most][-2:]
    archs = [arch for arch in possible[wide[0]] if all(arch in possible[side] for side in wide)]
    return (wide, archs) if archs else (wide[-1:], list(possible[wide[-1]]))


def _enough(spaces: Sequence[ChosenSpace], left: float) -> list[ChosenSpace]:
    """Return the first sub-spaces, with no more architectures than members are expected, but two families."""
    chosen: list[ChosenSpace] = []
    for space in spaces:
        known = sum(len(candidates(one.domains["arch"])) for one in chosen)
        if len(chosen) < _FAMILIES or known < expected_members([*chosen, space], left):
            chosen.append(space)
    return chosen


def expected_members(spaces: Sequence[ChosenSpace], left: float) -> int:
    """Return the number of members that are expected to train in a time, in s."""
    seconds = [estimate.seconds for space in spaces for estimate in space.members]
    return max(1, int(left / (sum(seconds) / len(seconds)))) if seconds else 0


def shared_parameters(facts: Facts, *, pretrained: bool) -> dict[str, Any]:
    """Return the parameters that all members share."""
    schedule = {"schedule": "fine_tune", "freeze_epochs": 1} if pretrained else {"schedule": "one_cycle"}
    size = next(size for size, least in _BATCHES.items() if facts.load.train >= least)
    return {
        "pretrained": pretrained,
        **schedule,
        "batch_size": size,
        "tta": 4 if facts.machine.on_gpu else 2,
        "subsample": 1.0 if facts.images.labelled < _FEW else 0.8,
    }
