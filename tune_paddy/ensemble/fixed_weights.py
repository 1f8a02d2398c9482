"""Fixed ensemble weights, given as patterns such as `vit*=2`, to rebuild a known ensemble."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import PLAIN, TTA, View

MOST = 1_000_000
"""Largest weight; the sum of many must stay finite."""

_DIGIT = "\0"
"""Placeholder for any digit, in the name of a future member."""

_SIDES = [_DIGIT * width for width in range(1, 5)]
_SIZES = [*_SIDES, *(f"{height}x{width}" for height in _SIDES for width in _SIDES)]
"""Possible ends of members' names."""

_SET = re.compile(r"\[!?.[^]]*\]")
"""Character set of a pattern, such as `[0-9]` or `[!a]`."""


def parse_weights(texts: Sequence[str]) -> list[tuple[str, float]]:
    """Parse `PATTERN=WEIGHT` texts; a text may contain several, separated by commas.

    Raises:
        InputError: A text has another form, or its weight is not a number from 0 to `MOST`.
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
                f"weights {text!r}: write PATTERN=WEIGHT, such as 'vit*=2', with a weight from 0 to {MOST:,}",
                options=("weights",),
            )
        pairs.append((pattern, weight))
    return pairs


def require_possible(
    pairs: Sequence[tuple[str, float]], architectures: Sequence[str], n_members: int
) -> None:
    """Refuse patterns that cannot match any member of a search that has not begun.

    Args:
        pairs: Patterns and weights of `parse_weights`.
        architectures: Architectures of the search space.
        n_members: Maximum number of members; names begin with their numbers, of four digits or more.

    Raises:
        InputError: A pattern cannot match any member.
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
    """Whether a pattern of `*` and `?` may match a name with placeholders for digits."""
    reached = {0}  # positions in the name where a match of the pattern's prefix may end
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
    """Return the weight of each view: 1 for a member's tta view, or its plain view without tta; 0 for others.

    A pattern changes the weights of the views that it matches; the last match wins. It is compared with the
    member's architecture and name or, if it contains a slash, with the view's name, such as `*/plain`.

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
        raise InputError("weights: every member has weight 0; raise at least one", options=("weights",))
    return weights


def _matches(view: View, pattern: str) -> bool:
    if "/" in pattern:
        return fnmatchcase(view.name, pattern)
    return fnmatchcase(view.arch, pattern) or fnmatchcase(view.member, pattern)
