"""Convert the images of a request, paths or base64, into files."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path

from tune_paddy.data.images import ImageError, TooManyPixelsError, count_pixels
from tune_paddy.data.layouts.tree import is_file
from tune_paddy.data.system.text import counted, listed, shown

_DATA_URI = "data:"


def as_files(
    images: Sequence[object], folder: Path, *, allow_paths: bool
) -> tuple[list[str], dict[int, str]]:
    """Convert each image into the path of a file.

    Args:
        images: Images, each a path on this machine, a file's bytes in base64, or a `data:` URI.
        folder: Folder for decoded images.
        allow_paths: Whether to accept paths; if not, a client learns nothing about the files here.

    Returns:
        Paths, one per image; and index → reason of the invalid images.
    """
    files = [str(folder / f"{place:08d}") for place in range(len(images))]
    broken: dict[int, str] = {}
    for place, image in enumerate(images):
        try:
            files[place] = _as_file(image, Path(files[place]), allow_paths)
        except ValueError as error:
            broken[place] = str(error)
    return files, broken


def too_large(files: Sequence[str], megapixels: float) -> dict[int, str]:
    """Return index → reason of the images with too many pixels; other invalid images are not reported.

    Args:
        files: Paths of image files.
        megapixels: Largest allowed number of pixels, in millions.
    """
    found: dict[int, str] = {}
    for place, file in enumerate(files):
        if _is_too_large(file, megapixels):
            found[place] = f"has more than {megapixels:g} million pixels: make it smaller"
    return found


def bad_rows(broken: Mapping[int, str]) -> str:
    """Return the error message that lists the invalid rows of a request, counted from 0."""
    rows = (f"row {place}: {reason}" for place, reason in sorted(broken.items()))
    return f"nothing was predicted, {counted(len(broken), 'invalid image')}:{listed(rows, len(broken))}"


def _is_too_large(file: str, megapixels: float) -> bool:
    try:
        return count_pixels(file) > megapixels * 10**6
    except TooManyPixelsError:
        return True
    except ImageError:
        return False


def _as_file(image: object, target: Path, allow_paths: bool) -> str:
    if not isinstance(image, str):
        raise ValueError(f"{shown(repr(image))} is neither a path nor base64 text")  # noqa: TRY004 for a client
    if image.startswith(_DATA_URI):
        return _decoded(image.partition(",")[2], target)
    if allow_paths and is_file(Path(image)):
        return image
    try:
        return _decoded(image, target)
    except ValueError as error:
        what = "is neither a file on this machine nor" if allow_paths else "is not"
        raise ValueError(f"{shown(image[:100])!r} {what} an image in base64") from error


def _decoded(text: str, target: Path) -> str:
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"its base64 text is damaged: {error}") from error
    if not content:
        raise ValueError("it is empty")
    target.write_bytes(content)
    return str(target)
