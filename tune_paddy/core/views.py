"""The views of a member: the ways to read an image with it, and the forward passes that each takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

PLAIN = "plain"
"""One pass over the image as it is."""
TTA = "tta"
"""Test-time augmentation: the mean over augmented passes, moved towards the plain prediction."""
FLIPS = "flips"
"""The mean over the symmetries that the member's augmentation allows, the image itself included."""
LARGE = "large"
"""One pass over the whole image at a larger size than in training."""
ZOOM = "zoom"
"""One pass over the central part of the image."""
EMA = "ema"
"""One pass over the image as it is, of the network with averaged parameters."""

ViewKind = Literal["plain", "tta", "flips", "large", "zoom", "ema"]
"""Type of a kind of view."""

KINDS: tuple[str, ...] = get_args(ViewKind)
"""Every kind of view, in the order of tables."""

WITH_PLAIN = frozenset((PLAIN, TTA, FLIPS))
"""Views that contain the plain pass, and share it."""

SYMMETRIES = {"none": 1, "horizontal": 2, "dihedral": 8}
"""Value of `flip` → number of symmetries, the image itself included."""


@dataclass(frozen=True)
class Work:
    """Forward passes of a view, counted in passes of the plain view.

    Attributes:
        shared: Passes that the member's other views may need as well: the plain one.
        own: Passes that this view alone needs.
    """

    shared: float
    own: float

    @property
    def total(self) -> float:
        """Number of passes if the view is computed alone."""
        return self.shared + self.own


def view_work(params: Mapping[str, Any]) -> dict[str, Work]:
    """Return the views of a member and their work, in the order of tables.

    Args:
        params: Parameters of the member, see `MemberConfig`; missing ones add no view.

    >>> work = view_work({"tta": 4, "flip": "horizontal", "flip_view": True})
    >>> {kind: each.total for kind, each in work.items()}
    {'plain': 1.0, 'tta': 5.0, 'flips': 2.0}
    """
    passes, factor = _number(params, "tta", 0), _number(params, "large_view", 1)
    symmetries = SYMMETRIES.get(str(params.get("flip", "none")), 1)
    work = {PLAIN: Work(1.0, 0.0)}
    if passes > 0:
        work[TTA] = Work(1.0, passes)
    if params.get("flip_view", False) and symmetries > 1:
        work[FLIPS] = Work(1.0, symmetries - 1.0)
    if factor > 1:
        work[LARGE] = Work(0.0, factor**2)
    if _number(params, "zoom_view", 1) < 1:
        work[ZOOM] = Work(0.0, 1.0)
    if _number(params, "ema", 0) > 0:
        work[EMA] = Work(0.0, 1.0)
    return work


def all_passes(params: Mapping[str, Any]) -> float:
    """Return the number of passes in which a member computes all its views."""
    work = view_work(params)
    return max(each.shared for each in work.values()) + sum(each.own for each in work.values())


def in_order(kinds: Iterable[str]) -> list[str]:
    """Return kinds of views in the order of tables; unknown ones come last, by name."""
    places = {kind: place for place, kind in enumerate(KINDS)}
    return sorted(kinds, key=lambda kind: (places.get(kind, len(places)), kind))


def _number(params: Mapping[str, Any], name: str, default: float) -> float:
    """Return a parameter as a number; the default if the record does not hold one."""
    try:
        return float(params.get(name, default))
    except (TypeError, ValueError):
        return default
