"""Pretrained weights of search spaces, and spaces without those that a check refuses."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Fixed, Recipe, SubSpace, candidates, one_of

WeightsCheck = Callable[[str, bool | str], str | None]
"""Function of an architecture and `pretrained` that returns why they are refused, or None."""

_PRETRAINED = MemberConfig.model_fields["pretrained"].default


@dataclass(frozen=True)
class LeftOut:
    """What a check left out of a space.

    Attributes:
        archs: Architecture → why it is refused.
        recipes: Names of the recipes that were left out.
        spaces: Names of the sub-spaces without an architecture, which were left out.
    """

    archs: Mapping[str, str]
    recipes: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the architectures by reason, and the recipes and sub-spaces that went with them."""
        reasons = dict.fromkeys(self.archs.values())
        parts = [
            f"{', '.join(arch for arch, why in self.archs.items() if why == reason)} ({reason})"
            for reason in reasons
        ]
        went = [
            f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names)}"
            for noun, names in (("recipe", self.recipes), ("sub-space", self.spaces))
            if names
        ]
        return "; ".join(parts) + (f"; with them {' and '.join(went)}" if went else "")


def weights_of(user: Recipe | SubSpace) -> tuple[tuple[str, bool | str], ...]:
    """Return the pairs of an architecture and a value of `pretrained` of a recipe or a sub-space."""
    if isinstance(user, Recipe):
        return ((user.values["arch"], user.values.get("pretrained", _PRETRAINED)),)
    wanted = candidates(user.domains.get("pretrained", Fixed(_PRETRAINED)))
    return tuple(itertools.product(candidates(user.domains["arch"]), wanted))


def allowed_recipes(recipes: Iterable[Recipe], check: WeightsCheck) -> tuple[Recipe, ...]:
    """Return the recipes whose weights a check does not refuse."""
    return tuple(recipe for recipe in recipes if not any(check(*pair) for pair in weights_of(recipe)))


def allowed_sub_spaces(spaces: Iterable[SubSpace], check: WeightsCheck) -> tuple[SubSpace, ...]:
    """Return the sub-spaces with the architectures that a check does not refuse; omit those without one."""
    allowed = []
    for space in spaces:
        refused = {pair[0] for pair in weights_of(space) if check(*pair)}
        archs = [arch for arch in candidates(space.domains["arch"]) if arch not in refused]
        if archs:
            first = tuple(values for values in space.first if values["arch"] in archs)
            allowed.append(replace(space, domains={**space.domains, "arch": one_of(archs)}, first=first))
    return tuple(allowed)
