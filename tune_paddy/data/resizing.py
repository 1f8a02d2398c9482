"""The three ways of bringing an image to a given size, in two steps: what is always the same, then where.

The first step scales the image and draws nothing at random, so that its result can be kept (see
`tune_paddy.data.image_cache.cache`). The second step cuts out or pads, at a place that training draws anew
each time, and moves whole pixels only. The ways are those of fastai's `Resize`:

- `squish`: height and width are scaled each by its own factor.
- `crop`: the image is scaled until it covers the size, and what sticks out is cut off.
- `pad`: the image is scaled until it fits into the size, and reflected into what lacks.

fastai cuts and pads before it scales. Where the image need not be scaled the results are equal; elsewhere
they differ by a fraction of a pixel, and in how the outermost pixels are averaged. The scaling itself is done
in `tune_paddy.training.batches.decoding`.
"""

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(height, width) in pixels."""

Pixels = NDArray[np.uint8]
"""uint8 [3, height, width], red, green, blue."""

METHODS = ("squish", "crop", "pad")

CENTRE = (0.5, 0.5)

LONGEST = 4
"""How many crops long a scaled image may be; of longer ones the middle counts, lest it fill the memory."""


def visible_part(before: Size, size: Size, method: str) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of what is used of an image, in px: all, unless it is very long.

    Raises:
        ValueError: No such method.
    """
    if method not in METHODS:
        raise ValueError(f"no way of resizing is called {method!r}; there are squish, crop and pad")
    height, width = before
    if method == "crop":
        scale = min(height / size[0], width / size[1])
        height, width = (
            min(side, max(1, int(LONGEST * scale * wanted)))
            for side, wanted in zip(before, size, strict=True)
        )
    top, left = (before[0] - height) // 2, (before[1] - width) // 2
    return left, top, left + width, top + height


def scaled_size(before: Size, size: Size, method: str) -> Size:
    """Return the (height, width) that the first step gives to an image of which all is visible.

    It is `size` for `squish`, no side is smaller for `crop`, none larger for `pad`.
    """
    if method == "squish":
        return size
    factors = [wanted / side for wanted, side in zip(size, before, strict=True)]
    factor, bound = (max(factors), max) if method == "crop" else (min(factors), min)
    height, width = (max(1, round(factor * side)) for side in before)
    return bound(height, size[0]), bound(width, size[1])


def place(pixels: Pixels, size: Size, offset: tuple[float, float] = CENTRE) -> Pixels:
    """Do the second step: cut what sticks out, reflect what lacks.

    Args:
        pixels: From the first step, uint8 [3, h, w].
        size: (height, width) in px.
        offset: (y, x), each 0 to 1: where the cut, or the image within its padding, lies between top or left
            (0) and bottom or right (1). fastai draws it at random in training and uses 0.5 otherwise.

    Returns:
        uint8 [3, height, width]; a view of `pixels` unless something lacks.
    """
    spans = [_span(side, wanted, at) for side, wanted, at in zip(pixels.shape[1:], size, offset, strict=True)]
    (top, bottom, rows), (left, right, columns) = spans
    visible = pixels[:, top:bottom, left:right]
    if not any(rows + columns):
        return visible
    return np.pad(visible, ((0, 0), rows, columns), mode="reflect")


def _span(side: int, wanted: int, offset: float) -> tuple[int, int, tuple[int, int]]:
    """First and last-but-one pixel that are visible, and how many lack before and behind."""
    start = int(offset * (side - wanted))  # truncated, as in fastai
    end = start + wanted
    return max(start, 0), min(end, side), (max(-start, 0), max(end - side, 0))
