"""Columns of 0 and 1: which ones are classes, and which ones may say something else of an image."""

from collections.abc import Collection, Sequence

from tune_paddy.data.labels.values import is_flag_value, is_set
from tune_paddy.data.layouts.names import names_split, role_of
from tune_paddy.data.tables.csv_table import CsvTable

_CLASS_NAMES = frozenset(("diagnosis", "disease", "species", "breed", "tag"))
"""Usual names of a label column, in small letters, that may be the name of one class instead."""

_LEAST = 2
"""Number of columns of which one for each class has at least."""


def is_flag(table: CsvTable, column: str) -> bool:
    """Return whether a column holds 0 and 1 only, or other words for them."""
    return all(map(is_flag_value, set(table.column(column))))


def without_split(table: CsvTable, columns: Sequence[str]) -> tuple[str, ...]:
    """Return columns without those of 0 and 1 that divide the images, such as `is_valid`; at least one."""
    rest = tuple(name for name in columns if not (names_split(name) and is_flag(table, name)))
    return rest or tuple(columns)


def may_be_class(column: str) -> bool:
    """Return whether a usual name of a label column may be that of a class."""
    return column.casefold() in _CLASS_NAMES


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
