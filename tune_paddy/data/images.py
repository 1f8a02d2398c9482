"""Decoding of image files to RGB, whatever their format and mode.

Only photographic formats are opened: Pillow also supports formats that run programs (EPS) or that are mere
containers, and a file's name says nothing about its content.
"""

import hashlib
import logging
import stat
import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from tune_paddy.core.errors import InputError
from tune_paddy.data.channels import Unused, read_head, unfit_channels, unread_tiff, unused_parts
from tune_paddy.data.pixel_range import (
    PixelRange,
    ValueFacts,
    is_deep,
    measure_values,
    own_range,
    read_values,
    scale,
)
from tune_paddy.data.system.memory import MemoryPart, MemoryRation, free_memory
from tune_paddy.data.system.text import shown

try:
    import simplejpeg
except ImportError:  # no build for this platform: Pillow decodes the same pixels, more slowly
    simplejpeg = None

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are opened, if its build supports them."""

SUFFIXES = frozenset((
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo",
    ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
))  # fmt: skip
"""Suffixes of image files, in lower case; used only where no table lists the files."""

_ONE_IMAGE_SUFFIXES = frozenset((".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"))
"""Suffixes of formats with a single image of 8 bits a channel, of which everything is used."""

Decoded = TypeVar("Decoded")

Result = TypeVar("Result")

_MOST_BYTES = 2**30
"""Maximum file size; the largest allowed image takes half as much without compression."""
_BYTES_PER_PIXEL = {"plain": 8, "any": 20, "deep": 60}
"""Memory while an image is decoded and scaled: an ordinary JPEG, any other one, one of more than 8 bits."""
_RATION = MemoryRation(lambda: min(2**31, free_memory() // 2))
"""Memory of the images that this process decodes at once."""
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
"""EXIF orientation → transpose operation that makes the image upright."""

# Pillow refuses an image of more than twice its limit and only warns above the limit; `_check_pixels`
# refuses both. Without this filter the warning would also be printed. Changing filters around every call
# would not be thread-safe.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

# Pillow also logs a problem of a TIFF that it refuses; without a handler, Python prints that.
logging.getLogger("PIL.TiffImagePlugin").addHandler(logging.NullHandler())


class ImageError(InputError):
    """Image file that cannot be decoded.

    Attributes:
        path: Path of the file.
        reason: Reason, for a person.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{shown(path)}: {reason}")
        self.path = str(path)
        self.reason = reason


class TooManyPixelsError(ImageError):
    """Image file with more pixels than are decoded."""


def most_megapixels() -> int:
    """Return the size of the largest image that is decoded, in millions of pixels."""
    return (Image.MAX_IMAGE_PIXELS or 0) // 10**6


def load_rgb(path: str | Path, pixel_range: PixelRange | None = None) -> Image.Image:
    """Decode an image file completely and return it upright, in mode RGB, 8 bits a channel.

    - EXIF orientation is applied.
    - Transparent parts become white.
    - Grey values of more than 8 bits are scaled by the range of their dataset, see `pixel_range`.
    - For animations and multi-page files, the first frame is used, see `find_unused`.

    Args:
        path: File in one of `FORMATS`, with any name.
        pixel_range: Range of deep images; None: each by itself, see `own_range`.

    Raises:
        ImageError: The file is missing, truncated, damaged, of another format, has more than four channels,
            or is larger than Pillow's limit of about 89 million pixels.
    """
    return _decoded(path, lambda image: _to_rgb(image, pixel_range))


def use_pixels(
    path: str | Path, use: Callable[[NDArray[np.uint8]], Result], pixel_range: PixelRange | None = None
) -> Result:
    """Decode an image file to uint8 [height, width, 3], and return the result of a function of its pixels.

    Threads that decode large images wait for each other, until the function has returned.

    simplejpeg uses the same library as Pillow's decoder and returns the same pixels, but avoids Pillow's
    four bytes per pixel. If it reports any problem, Pillow decodes the file or raises its error.

    Args:
        path: Path of the image file.
        use: Function of the pixels, which needs no more memory than they take.
        pixel_range: Range of deep images; None: each by itself.

    Raises:
        ImageError: The file cannot be decoded, see `load_rgb`.
    """
    with _RATION.part() as memory:
        used = _use_plain_jpeg(path, use, memory)
    if used is not None:
        return used[0]
    with _RATION.part() as memory:
        return _use_image(path, use, pixel_range, memory)


def count_pixels(path: str | Path) -> int:
    """Return the number of pixels that an image file declares, without decoding it.

    Raises:
        ImageError: The file is missing or no image, or has more pixels than `load_rgb` decodes.
    """
    return _opened(path, lambda image: image.width * image.height)


# These are functions so that nothing refers to the pixels when their memory is given back.


def _use_image(
    path: str | Path,
    use: Callable[[NDArray[np.uint8]], Result],
    pixel_range: PixelRange | None,
    memory: MemoryPart,
) -> Result:
    image = _decoded(path, lambda image: _to_rgb(image, pixel_range), memory)
    return use(np.array(image))  # a writable copy, which torch needs


def _use_plain_jpeg(
    path: str | Path, use: Callable[[NDArray[np.uint8]], Result], memory: MemoryPart
) -> tuple[Result] | None:
    """Return the result for an upright RGB JPEG without problems, or None for any other file."""
    content = _read_plain_jpeg(path, memory)
    if content is None or simplejpeg is None:
        return None
    try:
        pixels = simplejpeg.decode_jpeg(content, "RGB", fastdct=False, fastupsample=False, strict=True)
    except ValueError:
        return None
    return (use(pixels),)


def _read_plain_jpeg(path: str | Path, memory: MemoryPart) -> bytes | None:
    """Return the content of an upright RGB JPEG within the pixel limit, or None for any other file."""
    try:
        _check_file(path)
        with Path(path).open("rb") as file, Image.open(file, formats=("JPEG",)) as image:
            _check_pixels(image)
            orientation = image.getexif().get(ExifTags.Base.Orientation)
            if image.format != "JPEG" or image.mode != "RGB" or orientation in _TURNS:
                return None
            memory.take(image.width * image.height * _BYTES_PER_PIXEL["plain"])
            file.seek(0)
            return file.read()
    except Exception:  # Pillow raises nearly anything on damaged files
        return None


def load_thumbnail(path: str | Path, side: int) -> Image.Image | ValueFacts:
    """Decode an image file completely but cheaply, and squish it to `side` × `side` pixels, mode RGB.

    Of a deep image, which has no colours before the range of its dataset is known, return the values.

    The entropy code of the whole file is decoded, so damage is detected as in `load_rgb`. For a JPEG, the
    last step runs at a scale down to an eighth (libjpeg's scaled inverse transform).

    Raises:
        ImageError: The file cannot be decoded, see `load_rgb`.
    """

    def squish(image: Image.Image) -> Image.Image | ValueFacts:
        if is_deep(image):
            image.load()
            return measure_values(_upright(image), side)
        image.draft("RGB", (side, side))
        return _to_rgb(image).resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)

    return _decoded(path, squish)


def find_unused(path: str | Path) -> Unused:
    """Return which parts of a file `load_rgb` does not use; only its header is read.

    Nothing of a file that cannot be opened.
    """
    if Path(path).suffix.lower() in _ONE_IMAGE_SUFFIXES:
        return Unused()
    try:
        head = read_head(path)
        return _opened(path, lambda image: unused_parts(image, head))
    except (ImageError, OSError):
        return Unused()


def count_deep(paths: Iterable[str | Path]) -> int:
    """Return the number of files with grey values of more than 8 bits; only their headers are read."""
    return sum(map(_is_deep_file, paths))


def _is_deep_file(path: str | Path) -> bool:
    try:
        return _opened(path, is_deep)
    except ImageError:
        return False


def hash_content(path: str | Path) -> str:
    """Hash the upright picture of a file, hexadecimal; it does not depend on the encoding.

    Deep images are equal if their values are, not if they are equal after rounding to 8 bits.

    Raises:
        ImageError: The file cannot be decoded, see `load_rgb`.
    """

    def digest(image: Image.Image) -> str:
        if is_deep(image):
            image.load()
            values = read_values(_upright(image))
            return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()
        pixels = _to_rgb(image)
        return hashlib.sha256(repr(pixels.size).encode() + pixels.tobytes()).hexdigest()

    return _decoded(path, digest)


def _decoded(
    path: str | Path, decode: Callable[[Image.Image], Decoded], memory: MemoryPart | None = None
) -> Decoded:
    """Open an image file and decode it; convert everything that Pillow raises to `ImageError`.

    Args:
        path: Path of the image file.
        decode: Function of the opened image.
        memory: Part that receives the memory of the decoding; None: it is given back at once.
    """

    def within_memory(image: Image.Image) -> Decoded:
        kind = "deep" if is_deep(image) else "any"
        part.take(image.width * image.height * _BYTES_PER_PIXEL[kind])
        return decode(image)

    if memory is not None:
        part = memory
        return _opened(path, within_memory)
    with _RATION.part() as part:
        return _opened(path, within_memory)


def _opened(path: str | Path, use: Callable[[ImageFile], Decoded]) -> Decoded:
    """Open an image file and use it; convert everything that Pillow raises to `ImageError`.

    This is not a contextlib context manager: from Python 3.12 on, an error that replaces another one there
    forms a reference cycle with it, which keeps the pixels, hundreds of MB, until garbage collection.
    """
    try:
        _check_file(path)
        with Image.open(path, formats=_known_formats()) as image:
            _check_pixels(image)
            _check_channels(image)
            return use(image)
    except _UnfitFileError as error:
        raise ImageError(path, str(error)) from None
    # Damaged files make Pillow raise nearly anything: OSError, SyntaxError, struct.error, KeyError …
    except Exception as error:
        bomb = isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning)
        kind = TooManyPixelsError if bomb else ImageError
        raise kind(path, _reason(Path(path), error)) from error


class _UnfitFileError(Exception):
    """File that is refused before it is read."""


def _check_file(path: str | Path) -> None:
    """Refuse files whose reading would not end: a pipe without a writer, a device, a terabyte."""
    found = Path(path).stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # a folder has its own error
        raise _UnfitFileError("is not a regular file")
    if found.st_size > _MOST_BYTES:
        raise _UnfitFileError(f"is larger than {_MOST_BYTES // 2**30} GiB")


def _check_pixels(image: Image.Image) -> None:
    if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError


def _check_channels(image: ImageFile) -> None:
    unfit = unfit_channels(image)
    if unfit is not None:
        raise _UnfitFileError(unfit)


@cache
def _known_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return "is empty" if path.stat().st_size == 0 else _unknown_format(path)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"has more than {most_megapixels()} million pixels: make it smaller"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    text = (str(error) or type(error).__name__).splitlines()[0]
    return f"cannot be decoded: {shown(text)}"


def _unknown_format(path: Path) -> str:
    return unread_tiff(path) or "is not an image of a known format"


def _to_rgb(image: Image.Image, pixel_range: PixelRange | None = None) -> Image.Image:
    image.load()
    upright = _upright(image)
    if is_deep(upright):
        values = read_values(upright)
        own = pixel_range or own_range(values, integers=upright.mode != "F")
        upright = Image.fromarray(scale(values, own))
    if upright.has_transparency_data:
        visible = upright.convert("RGBA")
        backing = Image.new("RGBA", visible.size, _BACKING)
        upright = Image.alpha_composite(backing, visible)
    # convert() copies, so the result does not depend on the open file.
    return upright.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; ignore damaged EXIF data."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow's parser raises nearly anything on damaged EXIF
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)
