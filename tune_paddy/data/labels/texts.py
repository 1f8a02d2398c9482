"""The label of an image as text: a class, or several, sorted and joined by `|`."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tune_paddy.data.system.text import shown

JOINED_BY = "|"
"""Separator of the labels of an image in this program: a class name of several labels never contains it."""

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
    return JOINED_BY.join(sorted(set(names)))


def split_labels(text: str) -> list[str]:
    """Return the labels in the text of `join_labels`.

    >>> split_labels("complex|rust"), split_labels("")
    (['complex', 'rust'], [])
    """
    return text.split(JOINED_BY) if text else []


def count_labels(texts: Sequence[str], *, several: bool) -> Counter[str]:
    """Return the number of images of each class.

    Args:
        texts: Label of each image, [images].
        several: Whether a text holds any number of labels.
    """
    if not several:
        return Counter(texts)
    return Counter(name for text in texts for name in split_labels(text))


def shown_label(text: str) -> str:
    """Return the label of an image for a person.

    >>> shown_label("complex|rust"), shown_label("")
    ('complex|rust', 'no label')
    """
    return shown(text) or NONE
