"""Range of the values of deep images: grey images of more than 8 bits a pixel, integers or floats.

A 16-bit file does not say how many of its bits are used, and a float has no scale. So the range is found
once for a whole dataset, recorded, and used for every image of it, in training and in serving. Images of
8 bits have no range: their values are used as they are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from tune_paddy.data.system.text import counted

PixelRange = tuple[float, float]
"""Values that become black (0) and white (255); values outside are clipped."""

_INTEGER_SCALES: tuple[PixelRange, ...] = tuple((0.0, 2.0**bits - 1) for bits in range(8, 17))
_FLOAT_SCALES: tuple[PixelRange, ...] = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0))
_LEAST_USED = 0.5
"""Share of a common scale that the values must span: below it, a bit of depth would be lost."""
_TAIL = 0.001
"""Share of an image's pixels at each end that may be defects."""
_ODD_IMAGES = 0.01
"""Share of a dataset's images at each end that may be odd ones."""
_FAR = 64.0
"""Distance of a value from all others, in ranges of these, from which it stands for missing data."""
_STRETCHED = 4.0
"""Ratio of the whole range to the usual one above which the rest is clipped: it would cost two bits."""


@dataclass(frozen=True)
class ValueFacts:
    """Values of a deep image.

    Attributes:
        low: Lowest value.
        high: Highest value.
        usual_low: Value that all but `_TAIL` of the pixels exceed or equal.
        usual_high: Value that all but `_TAIL` of the pixels do not exceed.
        integers: Whether the file holds integers.
        thumbnail: Small copy, float32 [side, side].
        fills: Lowest or highest value of the file that stands for missing data; it is none of the above.
    """

    low: float
    high: float
    usual_low: float
    usual_high: float
    integers: bool
    thumbnail: NDArray[np.float32]
    fills: tuple[float, ...] = ()


def is_deep(image: Image.Image) -> bool:
    """Return whether an image holds grey values of more than 8 bits."""
    return image.mode in {"I", "F"} or image.mode.startswith("I;")


def read_values(image: Image.Image) -> NDArray[np.float64]:
    """Return the values of a deep image, float64 [height, width]; NaN becomes −inf: black in any range."""
    stored = np.asarray(image)
    if stored.dtype == np.int32 and _is_unsigned(image):
        stored = stored.view(np.uint32)  # Pillow has no such type, and keeps the bits
    values = stored.astype(np.float64)
    return np.nan_to_num(values, copy=False, nan=-np.inf, posinf=np.inf, neginf=-np.inf)


def _is_unsigned(image: Image.Image) -> bool:
    """Return whether an image is a TIFF of unsigned integers of 32 bits."""
    tags = getattr(image, "tag_v2", {})
    bits, kinds = tags.get(TiffImagePlugin.BITSPERSAMPLE), tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
    return bits == (32,) and kinds == (1,)


def measure_values(image: Image.Image, side: int) -> ValueFacts:
    """Return the facts of a deep image, with a thumbnail of `side` × `side` px."""
    values = read_values(image)
    finite = values[np.isfinite(values)]
    if not finite.size:
        finite = np.zeros(1)
    finite, fills = _without_fills(finite)
    low, high = float(finite.min()), float(finite.max())
    usual_low, usual_high = np.quantile(finite, (_TAIL, 1 - _TAIL), method="nearest").tolist()
    bounded = Image.fromarray(np.clip(values, low, high).astype(np.float32))
    small = bounded.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return ValueFacts(low, high, usual_low, usual_high, image.mode != "F", np.asarray(small), fills)


def _without_fills(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """Return values without the lowest and the highest one if it stands for missing data, and these.

    Such as −9999 beside values from 0 to 1, as maps have it: far outside of all others.
    """
    fills: list[float] = []
    for end in (float(values.min()), float(values.max())):
        rest = values[values != end]
        if rest.size and np.abs(rest - end).min() > _FAR * np.ptp(rest) > 0:
            values = rest
            fills.append(end)
    return values, tuple(fills)


def find_range(facts: Sequence[ValueFacts]) -> PixelRange | None:
    """Find the range that the deep images of a dataset use; None if there are none.

    It is the narrowest common scale (8 to 16 bits, 0 to 1, −1 to 1) of which the values span at least half;
    otherwise it reaches from the lowest to the highest value. Rare values far outside, such as those of
    defective pixels or of one image in another unit, do not count.
    """
    if not facts:
        return None
    low, high = min(fact.low for fact in facts), max(fact.high for fact in facts)
    usual_low, usual_high = _usual(facts)
    if high - low > _STRETCHED * (usual_high - usual_low) > 0:
        low, high = usual_low, usual_high
    scales = _INTEGER_SCALES if all(fact.integers for fact in facts) else _FLOAT_SCALES
    for first, last in scales:
        if first <= low and high <= last and high - low >= _LEAST_USED * (last - first):
            return first, last
    return low, high if high > low else low + 1


def _usual(facts: Sequence[ValueFacts]) -> PixelRange:
    lows = np.sort([fact.usual_low for fact in facts])
    highs = np.sort([fact.usual_high for fact in facts])
    odd = math.floor(_ODD_IMAGES * len(facts)) + (len(facts) > 2)  # noqa: PLR2004 of three, one can be odd
    return float(lows[min(odd, len(facts) - 1)]), float(highs[max(0, len(facts) - 1 - odd)])


def describe_range(facts: Sequence[ValueFacts], pixel_range: PixelRange | None) -> tuple[str, ...]:
    """Return a sentence on the values of deep images and their range; nothing if there are none."""
    if not facts:
        return ()
    low, high = min(fact.low for fact in facts), max(fact.high for fact in facts)
    kind = "integers" if all(fact.integers for fact in facts) else "numbers"
    fills = ", ".join(f"{value:g}" for value in sorted({value for fact in facts for value in fact.fills})[:3])
    apart = f" (without {fills}, far outside)" if fills else ""
    used = f"{counted(len(facts), 'image')} of more than 8 bits: {kind} from {low:g} to {high:g}{apart}"
    if pixel_range is None:
        return (f"{used}, each image scaled by itself",)
    clipped = ", values outside are clipped" if low < pixel_range[0] or high > pixel_range[1] else ""
    return (f"{used}; {pixel_range[0]:g} is black, {pixel_range[1]:g} white{clipped}",)


def scale(values: NDArray[np.float64], pixel_range: PixelRange) -> NDArray[np.uint8]:
    """Scale values linearly so that the range becomes 0 to 255; clip and round, uint8 of the same shape."""
    low, high = pixel_range
    scaled = (values - low) * (255.0 / (high - low))
    whole: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return whole


def own_range(values: NDArray[np.float64], *, integers: bool) -> PixelRange:
    """Return the range of one image that belongs to no dataset.

    Integers count as 16-bit unless they exceed it. Floats have the smallest of the maxima 1, 255 and 65535
    that their largest value does not exceed.
    """
    largest = float(values.max(initial=0.0, where=np.isfinite(values)))
    scales = (65535.0,) if integers else (1.0, 255.0, 65535.0)
    return 0.0, next((scale for scale in scales if largest <= scale), max(largest, 1.0))
