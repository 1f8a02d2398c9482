"""Sizes of a further view that is larger than the images of training."""

import math

from tune_paddy.core.config import LARGEST_VIEW

_GRIDS = (32, 16, 14, 8)
"""Multiples that the sides of a network's input may have to be: strides of maps, and sides of patches."""


def larger_sizes(size: tuple[int, int], factor: float) -> list[tuple[int, int]]:
    """Return larger sizes, (height, width) in px, the closest to `factor` times `size` first.

    Each grid has one, the closest of its sizes that are larger than `size` and within `LARGEST_VIEW`. So a
    network whose sides are multiples of a number has a larger size at each factor, or at none.

    >>> larger_sizes((224, 224), 1.15)
    [(256, 256), (252, 252)]
    >>> larger_sizes((224, 224), 1.01)
    [(232, 232), (238, 238), (240, 240), (256, 256)]
    """
    found = []
    for grid in _GRIDS:
        large = [_on_grid(side, factor, grid) for side in size]
        if all(side < bigger for side, bigger in zip(size, large, strict=True)):
            found.append((large[0], large[1]))
    return sorted(dict.fromkeys(found), key=lambda large: abs(math.log(large[0] / size[0] / factor)))


def _on_grid(side: int, factor: float, grid: int) -> int:
    """Return the multiple of `grid` closest to `factor` times `side`, above it and within `LARGEST_VIEW`.

    If there is none, the result is not above `side`.
    """
    closest = max(round(side * factor / grid), side // grid + 1)
    return grid * min(closest, int(side * LARGEST_VIEW / grid))
