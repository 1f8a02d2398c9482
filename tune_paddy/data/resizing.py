"""Three methods of resizing, in two steps: deterministic scaling, then random placement.

The first step scales the image and is deterministic, so that its result can be cached (see
`tune_paddy.data.image_cache.cache`). The second step crops or pads by whole pixels, at an offset that
training draws each time. The methods are those of fastai's `Resize`:

- `squish`: scale height and width separately.
- `crop`: scale the image until it covers the size, and crop the excess.
- `pad`: scale the image until it fits into the size, and pad the rest by reflection.

fastai crops and pads before it scales. The results are equal if no scaling is needed. Otherwise they differ
by a fraction of a pixel, and in the averaging of the outermost pixels. The scaling itself is in
`tune_paddy.training.batches.decoding`.
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
"""Maximum length of a scaled image, in crops; longer images are cut to their middle to bound memory."""


def visible_part(before: Size, size: Size, method: str) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the used part of an image, in px: all, unless it is very long.

    Raises:
        ValueError: The method is unknown.
    """
    if method not in METHODS:
        raise ValueError(f"unknown resize method {method!r}: use squish, crop or pad")
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
    """Return the (height, width) after the first step, for an image that is used completely.

    The result is `size` for `squish`, at least `size` for `crop`, and at most `size` for `pad`.
    """
    if method == "squish":
        return size
    factors = [wanted / side for wanted, side in zip(size, before, strict=True)]
    factor, bound = (max(factors), max) if method == "crop" else (min(factors), min)
    height, width = (max(1, round(factor * side)) for side in before)
    return bound(height, size[0]), bound(width, size[1])


def place(pixels: Pixels, size: Size, offset: tuple[float, float] = CENTRE) -> Pixels:
    """Apply the second step: crop the excess, pad the rest by reflection.

    Args:
        pixels: Result of the first step, uint8 [3, h, w].
        size: (height, width) in px.
        offset: Relative position (y, x) of the crop, or of the image in its padding, from 0 (top, left) to
            1 (bottom, right). fastai draws it at random in training and uses 0.5 otherwise.

    Returns:
        uint8 [3, height, width]; a view of `pixels` unless padding is needed.
    """
    spans = [_span(side, wanted, at) for side, wanted, at in zip(pixels.shape[1:], size, offset, strict=True)]
    (top, bottom, rows), (left, right, columns) = spans
    visible = pixels[:, top:bottom, left:right]
    if not any(rows + columns):
        return visible
    return np.pad(visible, ((0, 0), rows, columns), mode="reflect")


def _span(side: int, wanted: int, offset: float) -> tuple[int, int, tuple[int, int]]:
    """Return start and end of the visible pixels, and the padding before and after them."""
    start = int(offset * (side - wanted))  # truncated, as in fastai
    end = start + wanted
    return max(start, 0), min(end, side), (max(-start, 0), max(end - side, 0))
