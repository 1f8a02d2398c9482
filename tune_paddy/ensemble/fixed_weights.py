"""Weights made by hand: patterns such as `vit*=2`, so that a known ensemble can be made again."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import PLAIN, TTA, View

MOST = 1_000_000
"""Largest weight; the sum of many must stay finite."""

_DIGIT = "\0"
"""Any digit, in the name of a member that does not exist yet."""

_SIDES = [_DIGIT * width for width in range(1, 5)]
_SIZES = [*_SIDES, *(f"{height}x{width}" for height in _SIDES for width in _SIDES)]
"""How members' names end."""

_SET = re.compile(r"\[!?.[^]]*\]")
"""A pattern's set of signs, such as `[0-9]` or `[!a]`."""


def parse_weights(texts: Sequence[str]) -> list[tuple[str, float]]:
    """Read `PATTERN=WEIGHT` texts; several may stand in one, separated by commas.

    Raises:
        InputError: One is not of that form, or its weight is no number from 0 to `MOST`.
    """
    pairs: list[tuple[str, float]] = []
    for text in (part.strip() for whole in texts for part in whole.split(",")):
        pattern, _, number = text.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if not pattern or not 0 <= weight <= MOST:
            raise InputError(
                f"weights {text!r}: write PATTERN=WEIGHT, such as 'vit*=2', a weight from 0 to {MOST:,}",
                options=("weights",),
            )
        pairs.append((pattern, weight))
    return pairs


def require_possible(
    pairs: Sequence[tuple[str, float]], architectures: Sequence[str], n_members: int
) -> None:
    """Refuse patterns that can match no member of a search which has not trained any yet.

    Args:
        pairs: From `parse_weights`.
        architectures: Of the search's space.
        n_members: That it may have; their names begin with their numbers, of four digits or more.

    Raises:
        InputError: There is such a pattern.
    """
    numbers = [_DIGIT * width for width in range(4, max(4, len(str(n_members - 1))) + 1)]
    members = [f"{number}-{arch}-{size}" for number in numbers for arch in architectures for size in _SIZES]
    for pattern, _ in pairs:
        names = [f"{m}/{kind}" for m in members for kind in (PLAIN, TTA)] if "/" in pattern else members
        glob = _SET.sub("?", pattern)
        if not any(fnmatchcase(arch, pattern) for arch in architectures) and not any(
            _may_equal(glob, name) for name in names
        ):
            raise _no_match(pattern, architectures)


def _may_equal(glob: str, name: str) -> bool:
    """Whether a pattern of `*` and `?` matches a name, some of whose digits are not known yet."""
    reached = {0}  # positions in the name that what was read of the pattern may end at
    for sign in glob:
        if sign == "*":
            reached = set(range(min(reached, default=len(name) + 1), len(name) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(name) and _fits(sign, name[at])}
    return len(name) in reached


def _fits(sign: str, open_sign: str) -> bool:
    return sign in ("?", open_sign) or (open_sign == _DIGIT and sign.isdecimal())


def _no_match(pattern: str, architectures: Iterable[str]) -> InputError:
    known = ", ".join(dict.fromkeys(architectures))
    return InputError(
        f"weights: {pattern!r} matches no member; the architectures are {known}", options=("weights",)
    )


def weigh(views: Sequence[View], pairs: Sequence[tuple[str, float]]) -> list[float]:
    """Weigh each view: 1 for each member's best-informed view (tta where there is one), 0 for others.

    A pattern changes the weight of the views it matches, the last match winning. It is compared with a
    member's architecture and name; with a slash in it, with the view's name, such as `*/plain`.

    Raises:
        InputError: A pattern matches no view, or all weights are 0.
    """
    with_tta = {view.member for view in views if view.kind == TTA}
    counted = [view.kind == TTA or view.member not in with_tta for view in views]
    weights = [float(counts) for counts in counted]
    for pattern, weight in pairs:
        matched = [number for number, view in enumerate(views) if _matches(view, pattern)]
        if not matched:
            raise _no_match(pattern, (view.arch for view in views))
        for number in matched:
            if "/" in pattern or counted[number]:
                weights[number] = weight
    if not any(weights):
        raise InputError("weights: every member has weight 0; leave at least one in", options=("weights",))
    return weights


def _matches(view: View, pattern: str) -> bool:
    if "/" in pattern:
        return fnmatchcase(view.name, pattern)
    return fnmatchcase(view.arch, pattern) or fnmatchcase(view.member, pattern)
