"""Typical images of a dataset: their size, and whether they have colours."""

import statistics
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tune_paddy.spaces.building.facts import Images

SAMPLED = 64
"""Number of image files that are looked at."""

_GRAY = frozenset(("1", "L", "LA", "I", "I;16", "F"))
_SIDE, _GRAIN = 32, 2
"""Side of a small copy in px, and the difference of channels that a JPEG of a grey image may have."""


def typical_images(paths: Sequence[str], *, labelled: int, test: int, classes: int) -> Images:
    """Return the facts of a dataset's images.

    Args:
        paths: Image files, at most `SAMPLED` of them.
        labelled: Number of labelled images.
        test: Number of images to predict.
        classes: Number of classes.
    """
    seen = [_look_at(path) for path in paths]
    height, width = (round(statistics.median(size[axis] for size, _ in seen)) for axis in (0, 1))
    return Images(labelled, test, classes, (height, width), gray=all(gray for _, gray in seen))


def _look_at(path: str) -> tuple[tuple[int, int], bool]:
    """Return (height, width) of an image in px, and whether it has no colour."""
    with Image.open(path) as image:
        size = (image.height, image.width)
        if image.mode in _GRAY:
            return size, True
        image.draft("RGB", (_SIDE, _SIDE))  # a JPEG is decoded at a fraction of its size
        pixels = np.asarray(image.convert("RGB").resize((_SIDE, _SIDE)), dtype=np.int16)
        return size, bool((np.ptp(pixels, axis=2) <= _GRAIN).all())
