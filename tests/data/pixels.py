"""Pixels of an image file as arrays, decoded as the package does."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_paddy.data.images import use_pixels
from tune_paddy.data.pixel_range import PixelRange


def load_pixels(path: str | Path, pixel_range: PixelRange | None = None) -> NDArray[np.uint8]:
    """Return uint8 [height, width, 3]."""
    return use_pixels(path, lambda pixels: pixels, pixel_range)
