"""Image files as RGB, whatever they are inside, and resized as fastai does it.

Only formats of photographs are opened: Pillow also knows formats that run programs (EPS) or that
are mere containers, and the name of a file says nothing about its content.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from tune_paddy.core.errors import InputError
from tune_paddy.data.wording import shown

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are opened, as far as its build knows them."""

SUFFIXES = frozenset((
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo",
    ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
))  # fmt: skip
"""How the names of image files end, in lower case; asked only where no table names the files."""

Size = tuple[int, int]
"""(height, width) in pixels."""

_CENTRE = (0.5, 0.5)
_MOST_PADDED = 2**25
"""Pixels of the largest padded image, about 100 MB; 1 × 1,000,000 pixels would become a terabyte."""
_BACKING = (255, 255, 255)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what puts the image upright."""

# Pillow refuses an image of more than twice its limit and only warns of one above it; we refuse both, in
# `_check_pixels`. Without this filter the warning would be printed as well; and to change filters around
# every call would not be safe among threads.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


class ImageError(InputError):
    """An image file that cannot be used.

    Attributes:
        path: The file.
        reason: What is wrong with it, in words for a person.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{shown(path)}: {reason}")
        self.path = str(path)
        self.reason = reason


def load_rgb(path: str | Path) -> Image.Image:
    """Decode an image file completely and return it upright, in mode RGB, 8 bits a channel.

    - EXIF orientation is applied.
    - Transparent parts show white, as on a page.
    - 16-bit grey is divided by 257. 32-bit integers count as 16-bit unless they exceed it; floats are
      scaled by the smallest of 1, 255 and 65535 that their largest value does not exceed.
    - Of an animation or of several pages the first one counts.

    Args:
        path: A file of one of `FORMATS`; its name does not matter.

    Raises:
        ImageError: The file is missing, truncated, damaged, of another format, or larger than Pillow's
            limit of about 89 million pixels.
    """
    with _opened(path) as image:
        return _to_rgb(image)


def load_thumbnail(path: str | Path, side: int) -> Image.Image:
    """Decode an image file completely but cheaply, and squish it to `side` × `side` pixels, mode RGB.

    The whole file is read and its entropy code undone, so that damage is found as by `load_rgb`; but a
    JPEG's last step is then done at up to an eighth of the size (libjpeg's scaled inverse transform).

    Raises:
        ImageError: As `load_rgb`.
    """
    with _opened(path) as image:
        image.draft("RGB", (side, side))
        rgb = _to_rgb(image)
        return rgb.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)


def resize(
    image: Image.Image, size: Size, method: str, *, offset: tuple[float, float] = _CENTRE
) -> Image.Image:
    """Bring an image to exactly `size` with Pillow's bilinear filter, which averages when it shrinks.

    The methods are those of fastai's `Resize`:

    - `squish`: height and width are scaled each by its own factor; equal to fastai's, bit by bit.
    - `crop`: the largest part with the shape of `size` is cut out, then scaled; equal to fastai's.
    - `pad`: strips of its reflection bring it to the shape of `size`, then it is scaled; equal to fastai's,
      but for images so long that they are made smaller first.

    Args:
        image: Mode RGB.
        size: (height, width) in px.
        method: `squish`, `crop` or `pad`.
        offset: (y, x), each 0 to 1: where a crop, or the image within its padding, lies between top or left
            (0) and bottom or right (1). fastai draws it at random in training and uses 0.5 otherwise.

    Raises:
        ValueError: No such method.
    """
    if method == "crop":
        image = _cut(image, size, offset, min(image.height / size[0], image.width / size[1]))
    elif method == "pad":
        image = _shrink_to_pad(image, size)
        image = _cut(image, size, offset, max(image.height / size[0], image.width / size[1]))
    elif method != "squish":
        raise ValueError(f"no way of resizing is called {method!r}; there are squish, crop and pad")
    return image.resize((size[1], size[0]), Image.Resampling.BILINEAR)


def _cut(image: Image.Image, size: Size, offset: tuple[float, float], scale: float) -> Image.Image:
    """Give an image the shape of `size`, `scale` times as large: crop what sticks out, reflect what lacks."""
    # Truncation, and the pixel that it costs now and then, are fastai's.
    height, width = (max(1, int(scale * side)) for side in size)
    top, bottom, rows = _span(image.height, height, offset[0])
    left, right, columns = _span(image.width, width, offset[1])
    visible = image.crop((left, top, right, bottom))
    if not any(rows + columns):
        return visible
    return Image.fromarray(np.pad(np.asarray(visible), (rows, columns, (0, 0)), mode="reflect"))


def _span(side: int, wanted: int, offset: float) -> tuple[int, int, tuple[int, int]]:
    """First and last-but-one pixel that are visible, and how many lack before and behind."""
    start = int(offset * (side - wanted))
    end = start + wanted
    return max(start, 0), min(end, side), (max(-start, 0), max(end - side, 0))


def _shrink_to_pad(image: Image.Image, size: Size) -> Image.Image:
    """Make a very long image smaller beforehand: padded as it is, it would not fit into memory."""
    scale = max(image.height / size[0], image.width / size[1])
    excess = math.sqrt(scale**2 * size[0] * size[1] / _MOST_PADDED)
    if excess <= 1:
        return image
    height, width = (max(1, round(side / excess)) for side in (image.height, image.width))
    return image.resize((width, height), Image.Resampling.BILINEAR)


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Open an image file; whatever Pillow raises until the end of the block becomes an `ImageError`."""
    try:
        with Image.open(path, formats=_known_formats()) as image:
            _check_pixels(image)
            yield image
    # Damaged files make Pillow raise nearly anything: OSError, SyntaxError, struct.error, KeyError …
    except Exception as error:
        raise ImageError(path, _reason(Path(path), error)) from error


def _check_pixels(image: Image.Image) -> None:
    if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


@cache
def _known_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return "is empty" if path.stat().st_size == 0 else "is no image of a known format"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"has more than {(Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels: make it smaller"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    text = (str(error) or type(error).__name__).splitlines()[0]
    return f"cannot be decoded: {shown(text)}"


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    upright = _upright(image)
    if upright.mode in {"I", "F"} or upright.mode.startswith("I;"):
        upright = Image.fromarray(_to_8_bit(upright))
    if upright.has_transparency_data:
        visible = upright.convert("RGBA")
        backing = Image.new("RGBA", visible.size, _BACKING)
        upright = Image.alpha_composite(backing, visible)
    # Converting copies, so that nothing depends on the open file.
    return upright.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Undo the orientation that a camera noted; damaged notes are no reason to refuse an image."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow's parser raises nearly anything on damaged EXIF
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _to_8_bit(image: Image.Image) -> NDArray[np.uint8]:
    """Scale one channel of integers or floats to 0 … 255, uint8 [height, width]."""
    values = np.asarray(image).astype(np.float32)
    np.nan_to_num(values, copy=False, posinf=np.inf, neginf=0.0)
    largest = float(values.max(initial=0.0, where=np.isfinite(values)))
    scales = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    full = next((scale for scale in scales if largest <= scale), max(largest, 1.0))
    values *= 255.0 / full
    return np.clip(np.rint(values, out=values), 0, 255, out=values).astype(np.uint8)
