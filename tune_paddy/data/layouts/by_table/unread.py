"""Tables that name images, but whose columns are not told apart."""

import re
from collections.abc import Callable, Sequence

_SAMPLED = 200
"""Number of lines that tell whether a table names images."""
_NAMING = 0.9
"""Share of the lines that name an image of their own in a table of labels."""
_BETWEEN = (re.compile(r"[\s:=~^]+"), re.compile(r"""[\s:=~^|<>,;"'{}\[\]()]+"""))
"""What may divide lines: blanks and some signs, or all signs of formats such as JSON and HTML."""


def find_unread(lines: Sequence[str], folder_of: Callable[[str], str | None]) -> frozenset[str]:
    """Return the images that lines name, each beside something that may be its label; else none.

    A label recurs, differs between images, and is not told by the folder of the image.

    Args:
        lines: Lines of a table whose columns do not name images.
        folder_of: Function that returns the folder of the image that a text names; None: it names none.

    Returns:
        Texts that name images, of the first lines.
    """
    found = (_images(lines[:_SAMPLED], folder_of, between) for between in _BETWEEN)
    return next(filter(None, found), frozenset())


def _images(
    lines: Sequence[str], folder_of: Callable[[str], str | None], between: re.Pattern[str]
) -> frozenset[str]:
    rows = [_split(line, folder_of, between) for line in lines]
    named = [(image, beside) for image, beside in rows if image]
    images = frozenset(image for image, _ in named)
    if len(images) < 2 or len(images) < _NAMING * len(rows):  # noqa: PLR2004 one says nothing
        return frozenset()
    folders = [folder_of(image) for image, _ in named]
    columns = zip(*(beside for _, beside in named), strict=False)  # as many as all lines have
    return images if any(_may_label(column, folders) for column in columns) else frozenset()


def _split(
    line: str, folder_of: Callable[[str], str | None], between: re.Pattern[str]
) -> tuple[str, list[str]]:
    """Return the first part of a line that names an image, and the other parts."""
    parts = between.split(line.strip())
    image = next((part for part in parts if folder_of(part) is not None), "")
    return image, [part for part in parts if part != image]


def _may_label(values: Sequence[str], folders: Sequence[str | None]) -> bool:
    recurs = 1 < len(set(values)) < len(values)
    told = len(set(zip(folders, values, strict=True))) == len(set(folders))
    return recurs and not told


def unread(path: str) -> str:
    """Return the message on such a table."""
    return (
        f"{path}: its lines name images, but its columns are not told apart: separate them by commas, below "
        "a line of their names, such as image,label"
    )
