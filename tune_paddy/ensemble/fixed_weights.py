"""Weights made by hand: patterns such as `vit*=2`, so that a known ensemble can be made again."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import TTA, View

MOST = 1_000_000
"""Largest weight; the sum of many must stay finite."""


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
                f"--weights {text!r}: write PATTERN=WEIGHT, such as 'vit*=2', a weight from 0 to {MOST:,}"
            )
        pairs.append((pattern, weight))
    return pairs


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
            known = ", ".join(dict.fromkeys(view.arch for view in views))
            raise InputError(f"--weights: {pattern!r} matches no member; the architectures are {known}")
        for number in matched:
            if "/" in pattern or counted[number]:
                weights[number] = weight
    if not any(weights):
        raise InputError("--weights: every member has weight 0; leave at least one in")
    return weights


def _matches(view: View, pattern: str) -> bool:
    if "/" in pattern:
        return fnmatchcase(view.name, pattern)
    return fnmatchcase(view.arch, pattern) or fnmatchcase(view.member, pattern)
