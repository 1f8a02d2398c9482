"""Columns of 0 and 1: which ones are classes, and which ones may say something else of an image."""

from collections.abc import Callable, Collection, Sequence

from tune_paddy.data.labels.values import is_flag_value, is_set
from tune_paddy.data.layouts.names import are_parts, names_split, role_of
from tune_paddy.data.tables.csv_table import CsvTable, find_name

_CLASS_NAMES = frozenset(("diagnosis", "disease", "species", "breed", "tag"))
"""Usual names of a label column, in small letters, that may be the name of one class instead."""

_LEAST = 2
"""Number of columns of which one for each class has at least."""


def is_flag(table: CsvTable, column: str) -> bool:
    """Return whether a column holds 0 and 1 only, or other words for them."""
    return all(map(is_flag_value, set(table.column(column))))


def dividing(table: CsvTable, columns: Sequence[str], *, usual: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the columns that divide the images.

    Args:
        table: Table of labels.
        columns: Columns that may hold the labels.
        usual: Whether a column has a usual name of the labels; it holds them, whatever its values.
    """
    return tuple(name for name in columns if not usual(name) and divides(table, name))


def divides(table: CsvTable, column: str) -> bool:
    """Return whether a column divides the images.

    It has the name of a split, such as `is_valid` or `fold`, with numbers or parts, or its values are parts.
    """
    values = {value.strip() for value in table.column(column)}
    if not names_split(column):
        return are_parts(values)
    return all(value.isdecimal() or is_flag_value(value) or role_of(value) is not None for value in values)


def may_be_class(column: str) -> bool:
    """Return whether a usual name of a label column may be that of a class."""
    return find_name([column], _CLASS_NAMES) is not None


def any_set(table: CsvTable, flags: Sequence[str]) -> bool:
    """Return whether every row has a 1 in one of the columns."""
    return min(_sums(table, flags), default=1) > 0


def doubtful_flags(table: CsvTable, flags: Sequence[str], usual: Collection[str] = ()) -> tuple[str, ...]:
    """Return the columns of 0 and 1 that may be no classes, if not every row has a single 1.

    These are columns named like a part, such as `train`, and one without which every row has a single 1. Of
    two columns, that with a usual name may hold the labels alone.

    Args:
        table: Table of labels.
        flags: Columns of 0 and 1.
        usual: Columns with a usual name of the label column.
    """
    sums = _sums(table, flags)
    if set(sums) == {1}:
        return ()
    named = [name for name in flags if role_of(name) is not None]
    if len(flags) == _LEAST:
        return tuple(named or usual)
    return tuple(named or (name for name in flags if _is_odd_one(table, name, sums)))


def _is_odd_one(table: CsvTable, column: str, sums: Sequence[int]) -> bool:
    """Return whether every row has a single 1 without a column."""
    return all(total - own == 1 for total, own in zip(sums, _set(table, column), strict=True))


def _sums(table: CsvTable, flags: Sequence[str]) -> list[int]:
    """Return the number of ones in each row."""
    return [sum(row) for row in zip(*(_set(table, name) for name in flags), strict=True)]


def _set(table: CsvTable, column: str) -> list[bool]:
    return list(map(is_set, table.column(column)))
