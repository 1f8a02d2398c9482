"""Pretrained weights of a search space: licences to use, a table of all, frozen members without any."""

from collections.abc import Iterator
from dataclasses import dataclass

from tune_paddy.core.domains import Recipe, SubSpace, candidates
from tune_paddy.core.errors import InputError
from tune_paddy.spaces.allowed import weights_of
from tune_paddy.spaces.space import SearchSpace

ANY, COMMERCIAL = "any", "commercial"
"""Values of the setting `licences`."""


@dataclass(frozen=True)
class WeightsRow:
    """Pretrained weights that members of a space start from.

    Attributes:
        arch: Architecture, timm's name.
        licence: Licence of the weights, as timm states it.
        data: Datasets of the pretraining, as timm's tag names them.
        used_by: Names of the recipes and sub-spaces with this architecture and this `pretrained`.
    """

    arch: str
    licence: str
    data: str
    used_by: tuple[str, ...]


def with_licences(space: SearchSpace, licences: str) -> SearchSpace:
    """Return a space without the architectures whose weights the setting `licences` excludes.

    Apply it before `with_stand_ins`, whose tiny models have no pretrained weights.

    Args:
        space: Search space with checked architectures.
        licences: Value of the setting.

    Raises:
        InputError: Nothing is left to train.
    """
    if licences == ANY:
        return space
    from tune_paddy.training.networks.licences import commercial_refusal  # noqa: PLC0415 it takes torch

    left = space.with_weights(commercial_refusal)
    if not (left.recipes or left.spaces):
        raise InputError(
            f"space {space.name!r}: `licences: {licences}` leaves nothing to train: {left.left_out}; "
            "use `licences: any`, or other architectures",
            options=("licences",),
        )
    return left


def licence_note(space: SearchSpace) -> str | None:
    """Return a line on the architectures that `with_licences` left out of a space; None: there are none."""
    return None if space.left_out is None else f"`licences: {COMMERCIAL}` leaves out {space.left_out}"


def weights_rows(space: SearchSpace) -> Iterator[WeightsRow]:
    """Yield the pretrained weights of a space, in order of appearance."""
    from tune_paddy.training.networks.licences import weights_origin  # noqa: PLC0415 it takes torch

    users: list[Recipe | SubSpace] = [*space.recipes, *space.spaces]
    for arch, pretrained in space.weights():
        origin = weights_origin(arch, pretrained)
        names = dict.fromkeys(user.name for user in users if (arch, pretrained) in weights_of(user))
        yield WeightsRow(arch, origin.licence, origin.data, tuple(names))


def random_features_note(space: SearchSpace) -> str | None:
    """Return a line on heads that are fitted without pretrained weights; None: none is, or in a rehearsal."""
    users: list[Recipe | SubSpace] = [*space.recipes, *space.spaces]
    names = [
        user.name
        for user in users
        if "frozen" in _values_of(user, "schedule") or "fitted" in _values_of(user, "head")
        if any(pretrained is False for _, pretrained in weights_of(user))
    ]
    if space.stands_in or not names:
        return None
    return (
        f"{', '.join(names)}: the features that a head is fitted to are those of random weights with "
        "`pretrained: false`; leave out `pretrained: false`, or `schedule: frozen` and `head: fitted`"
    )


def _values_of(user: Recipe | SubSpace, name: str) -> tuple[object, ...]:
    """Return the values that a parameter may have; without one of its own, none."""
    if isinstance(user, Recipe):
        return (user.values.get(name),)
    return candidates(user.domains[name]) if name in user.domains else ()
