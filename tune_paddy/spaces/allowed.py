"""Search spaces without the pretrained weights that a check refuses."""

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


def allowed_recipes(recipes: Iterable[Recipe], check: WeightsCheck) -> tuple[Recipe, ...]:
    """Return the recipes whose weights a check does not refuse."""
    return tuple(
        recipe
        for recipe in recipes
        if check(recipe.values["arch"], recipe.values.get("pretrained", _PRETRAINED)) is None
    )


def allowed_sub_spaces(spaces: Iterable[SubSpace], check: WeightsCheck) -> tuple[SubSpace, ...]:
    """Return the sub-spaces with the architectures that a check does not refuse; omit those without one."""
    allowed = []
    for space in spaces:
        wanted = candidates(space.domains.get("pretrained", Fixed(_PRETRAINED)))
        archs = [
            arch
            for arch in candidates(space.domains["arch"])
            if not any(check(arch, pretrained) for pretrained in wanted)
        ]
        if archs:
            allowed.append(replace(space, domains={**space.domains, "arch": one_of(archs)}))
    return tuple(allowed)
