"""Tables that name images, but whose columns are not told apart."""

import re
from collections.abc import Callable, Sequence

_SAMPLED = 200
"""Number of lines that tell whether a table names images."""
_NAMING = 0.9
"""Share of the lines that name an image of their own in a table of labels."""
_BETWEEN = re.compile(r"[\s:=~^]+")


def find_unread(lines: Sequence[str], is_image: Callable[[str], bool]) -> frozenset[str]:
    """Return the images that lines name, each beside something else that recurs, such as a label; else none.

    Args:
        lines: Lines of a table whose columns do not name images.
        is_image: Whether a text names an image.

    Returns:
        Texts that name images, of the first lines.
    """
    parts = [_BETWEEN.split(line.strip()) for line in lines[:_SAMPLED]]
    images = {next((part for part in found if is_image(part)), "") for found in parts} - {""}
    others = [part for found in parts for part in found if part not in images]
    named = len(images) > 1 and len(images) >= _NAMING * len(parts)
    recur = len(others) >= len(images) and len(set(others)) < len(others)
    return frozenset(images) if named and recur else frozenset()


def unread(path: str) -> str:
    """Return the message on such a table."""
    return (
        f"{path}: its lines name images, but its columns are not told apart: separate them by commas, below "
        "a line of their names, such as image,label"
    )
