"""The label of an image as text: a class, or several, sorted and joined."""

from collections.abc import Iterable

from tune_paddy.core.tasks.names import SEPARATOR
from tune_paddy.data.system.text import shown

NONE = "no label"
"""Words for an image without a label."""


def split_value(value: str, separator: str) -> list[str]:
    """Split a value of a table into its labels.

    >>> split_value("scab  rust", " "), split_value("a, b;c", ","), split_value("", "|")
    (['scab', 'rust'], ['a', 'b;c'], [])
    """
    parts = value.split() if separator == " " else value.split(separator)
    return [part.strip() for part in parts if part.strip()]


def join_labels(names: Iterable[str]) -> str:
    """Return the text of the labels of an image.

    >>> join_labels(["rust", "complex", "rust"]), join_labels([])
    ('complex|rust', '')
    """
    return SEPARATOR.join(sorted(set(names)))


def shown_label(text: str) -> str:
    """Return the label of an image for a person.

    >>> shown_label("complex|rust"), shown_label("")
    ('complex|rust', 'no label')
    """
    return shown(text) or NONE
