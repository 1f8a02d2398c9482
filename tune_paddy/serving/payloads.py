"""Images as a client sends them, paths or base64, turned into files to read."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path

from tune_paddy.data.layouts.listing import is_file
from tune_paddy.data.system.text import listed, shown

_DATA_URI = "data:"


def as_files(
    images: Sequence[object], folder: Path, *, allow_paths: bool
) -> tuple[list[str], dict[int, str]]:
    """Turn each image into the path of a file.

    Args:
        images: Each the path of a file here, its bytes in base64, or a `data:` URI of these.
        folder: Where decoded images are put.
        allow_paths: Whether paths are looked at: else a client learns nothing of the files here.

    Returns:
        [images] paths, and the places of those that are neither, each with the reason.
    """
    files = [str(folder / f"{place:08d}") for place in range(len(images))]
    broken: dict[int, str] = {}
    for place, image in enumerate(images):
        try:
            files[place] = _as_file(image, Path(files[place]), allow_paths)
        except ValueError as error:
            broken[place] = str(error)
    return files, broken


def bad_rows(broken: Mapping[int, str]) -> str:
    """Say which rows of a request, from 0, cannot be answered, and that none was."""
    rows = (f"row {place}: {reason}" for place, reason in sorted(broken.items()))
    return f"nothing was predicted, {len(broken)} images are bad:{listed(rows, len(broken))}"


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
        what = "is no file here, nor" if allow_paths else "is not"
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
