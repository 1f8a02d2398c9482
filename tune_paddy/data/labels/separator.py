"""Whether the values of a column are names of several classes, and what separates them.

`scab rust` may be two labels or one class of two words. Labels recur: alone, or in many combinations. The
words of a class name rarely stand alone, and there are hardly more names than words. A grid of names, such as
`fresh apple` … `rotten orange`, recombines words, too: each name has the same number of them, and none alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tune_paddy.data.labels.texts import split_value

SEPARATORS = ("|", ";", ",", " ")
"""Separators of labels, in order of preference."""

_UNSURE = 0.5
"""Share of the parts that stand alone from which a column may hold several labels."""


@dataclass(frozen=True)
class Joined:
    """A separator that divides values.

    Attributes:
        separator: The separator.
        example: A value that it divides.
        parts: All parts, sorted.
        is_sure: Whether the parts recur as labels do; else they may be words.
    """

    separator: str
    example: str
    parts: tuple[str, ...]
    is_sure: bool


def find_separator(values: Collection[str]) -> Joined | None:
    """Return the separator of labels in the values of a column; None: each value is one class.

    Args:
        values: Values of the column.
    """
    distinct = sorted({value.strip() for value in values} - {""})
    found = [joined for separator in SEPARATORS if (joined := _joined(distinct, separator))]
    return next((joined for joined in found if joined.is_sure), next(iter(found), None))


def any_separator(values: Collection[str]) -> str:
    """Return the separator that divides values known to hold several labels; "" if each holds one."""
    known = find_separator(values)
    if known is not None:
        return known.separator
    divides = [separator for separator in SEPARATORS if any(separator in value.strip() for value in values)]
    return divides[0] if divides else ""


def _joined(distinct: Sequence[str], separator: str) -> Joined | None:
    """Return a separator that may divide labels; None: the parts are words."""
    parts_of = {value: split_value(value, separator) for value in distinct}
    joined = {value: parts for value, parts in parts_of.items() if len(set(parts)) > 1}
    if not joined:
        return None
    parts = sorted({part for found in joined.values() for part in found})
    alone = sum(part in parts_of for part in parts) / len(parts)
    recur = alone == 1 or separator == "|" or _outnumber(joined, parts)
    if not recur and alone < _UNSURE:
        return None
    is_sure = recur and (separator == "|" or not _is_grid(parts_of))
    everything = sorted({part for found in parts_of.values() for part in found})
    return Joined(separator, next(iter(joined)), tuple(everything), is_sure)


def _is_grid(parts_of: Mapping[str, Sequence[str]]) -> bool:
    """Return whether each value has the same number of words, at least two: they may be names of classes."""
    lengths = {len(parts) for parts in parts_of.values()}
    words = (part for parts in parts_of.values() for part in parts)
    return len(lengths) == 1 and min(lengths) > 1 and not all(part.isdecimal() for part in words)


def _outnumber(joined: Mapping[str, Sequence[str]], parts: Sequence[str]) -> bool:
    """Return whether there are more combinations than parts, or parts that are numbers recur."""
    combinations = {frozenset(found) for found in joined.values()}
    numbers = all(part.isdecimal() for part in parts)
    return len(combinations) > len(parts) or (numbers and len(combinations) > 1)
