"""Labels of the rows of a table, and whether a row has one or several."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import CLASSES, MULTILABEL, SEPARATOR
from tune_paddy.data.labels.separator import Joined, any_separator, find_separator
from tune_paddy.data.labels.texts import join_labels, split_value
from tune_paddy.data.system.text import counted, shown
from tune_paddy.data.tables.csv_table import CsvTable

_LIST = re.compile(r"\s*\[([^\[\]|]*)\]\s*")
"""Value that is written as a list of labels, as Python and JSON write it."""
_SET = frozenset(("1", "1.0", "1.", "true", "yes"))
_FLAGS = _SET | {"0", "0.0", "0.", "false", "no"}
"""Values, in small letters, of a column that says of each image whether it has a label."""


@dataclass(frozen=True)
class LabelValues:
    """Labels of a table.

    Attributes:
        texts: Label of each row, [rows]; several are sorted and joined by `|`.
        task: `classes`, `multilabel` or `ordered`.
        separator: Separator of several labels in the column; empty: none.
        note: What was detected, if it may be meant otherwise; else empty.
        empty: Columns of 0 and 1 without a 1: no classes, since no image has them.
    """

    texts: list[str]
    task: str
    separator: str = ""
    note: str = ""
    empty: tuple[str, ...] = ()


def read_label_values(
    table: CsvTable, columns: Sequence[str], task: str | None = None, *, classes: Collection[str] = ()
) -> LabelValues:
    """Return the labels of the rows of a table, without surrounding blanks.

    Args:
        table: Table of labels.
        columns: Column of the labels; or columns of 0 and 1, whose names are the classes.
        task: Kind of the labels, as named by the user; None: detected.
        classes: Names that the columns of a sample submission give; they decide what may be one label or
            several.

    Raises:
        InputError: It is not clear whether a row has one label or several, a row has none or several where
            it needs one, or the name of one of several labels has a `|`.
    """
    if len(columns) > 1:
        empty = tuple(name for name in columns if not any(map(is_set, table.column(name))))
        return replace(_from_flags(table, columns, task), empty=empty)
    values = _without_brackets(table.column(columns[0]))
    if task == MULTILABEL:
        separator = any_separator(values)
        return _split(table, values, separator)
    known = None if task else find_separator(values)
    if known is None or _are_classes(values, classes):
        _check_filled(table, values)
        return LabelValues([value.strip() for value in values], task or CLASSES)
    if not known.is_sure and not _are_parts(known, classes):
        raise _unsure(table, columns[0], known, values)
    note = (
        f"{table.title}: several labels an image, such as {shown(known.example)}; if that is one "
        f"class, give `task={CLASSES}`"
    )
    return replace(_split(table, values, known.separator), note=note)


def _without_brackets(values: list[str]) -> list[str]:
    """Return values that are written as lists, such as `['scab', 'rust']`, joined by `|`.

    Other values stay, and so do all if one of them is neither a list nor empty.
    """
    distinct = set(filter(str.strip, values))
    if not distinct or not all(map(_LIST.fullmatch, distinct)):
        return values
    rows = [[name.strip(" '\"") for name in value.strip()[1:-1].split(",")] for value in values]
    return [SEPARATOR.join(filter(None, names)) for names in rows]


def _are_classes(values: Collection[str], classes: Collection[str]) -> bool:
    """Return whether each value is the name of a class."""
    return len(classes) > 1 and {value.strip() for value in values} <= set(classes)


def _are_parts(known: Joined, classes: Collection[str]) -> bool:
    """Return whether each part of the values is the name of a class."""
    return len(classes) > 1 and set(known.parts) <= set(classes)


def _split(table: CsvTable, values: Sequence[str], separator: str) -> LabelValues:
    rows = [split_value(value, separator) if separator else [value.strip()] for value in values]
    rows = [[name for name in names if name] for names in rows]
    for row, names in enumerate(rows):
        _check_names(table, names, row)
    return LabelValues([join_labels(names) for names in rows], MULTILABEL, separator)


def _from_flags(table: CsvTable, columns: Sequence[str], task: str | None) -> LabelValues:
    _check_flags(table, columns)
    values = zip(*(table.column(name) for name in columns), strict=True)
    rows = [[name for name, flag in zip(columns, flags, strict=True) if is_set(flag)] for flags in values]
    odd = next((row for row, names in enumerate(rows) if len(names) != 1), None)
    if task != MULTILABEL and odd is None:
        return LabelValues([names[0] for names in rows], task or CLASSES)
    if task not in (None, MULTILABEL):
        raise _not_one(table, odd or 0, rows[odd or 0], columns)
    _check_names(table, columns)
    texts = [join_labels(names) for names in rows]
    if task == MULTILABEL or odd is None:
        return LabelValues(texts, MULTILABEL)
    found = f"{counted(len(rows[odd]), 'label')} in {table.line(odd)}"
    note = f"{table.title}: several labels an image, or none: {found}"
    return LabelValues(texts, MULTILABEL, note=note)


def is_flag_value(value: str) -> bool:
    """Return whether a value says whether an image has a label: 0 or 1, true or false, yes or no."""
    return value.strip().casefold() in _FLAGS


def is_set(flag: str) -> bool:
    """Return whether such a value says that the image has the label."""
    return flag.strip().casefold() in _SET


def _check_flags(table: CsvTable, columns: Sequence[str]) -> None:
    for name in columns:
        values = table.column(name)
        odd = next((row for row, value in enumerate(values) if not is_flag_value(value)), None)
        if odd is not None:
            raise InputError(
                f"{table.place(odd)}: {shown(values[odd]) or 'nothing'} in column {shown(name)}; "
                "a column per class holds 0 and 1"
            )


def _check_filled(table: CsvTable, values: Sequence[str]) -> None:
    empty = [row for row, value in enumerate(values) if not value.strip()]
    if empty:
        more = f", as in {len(empty) - 1} other lines" if len(empty) > 1 else ""
        raise InputError(
            f"{table.place(empty[0])}: has no label{more}: fill it in or remove the line; if images may have "
            f"no label, `task={MULTILABEL}`",
            options=("task",),
        )


def _check_names(table: CsvTable, names: Sequence[str], row: int | None = None) -> None:
    odd = next((name for name in names if SEPARATOR in name), None)
    if odd is not None:
        place = f"{shown(table.path)}:1" if row is None else table.place(row)
        raise InputError(
            f"{place}: the label {shown(odd)} has a '{SEPARATOR}', which separates the labels of an image in "
            "the program's files: rename it"
        )


def _not_one(table: CsvTable, row: int, names: Sequence[str], columns: Sequence[str]) -> InputError:
    listed = f" ({', '.join(map(shown, names))})" if names else ""
    return InputError(
        f"{table.place(row)}: has {counted(len(names), 'label')}{listed} in "
        f"{counted(len(columns), 'column')} of 0 and 1: each image needs exactly one label, unless images "
        f"may have several (`task={MULTILABEL}`)",
        options=("task",),
    )


def _unsure(table: CsvTable, column: str, known: Joined, values: Sequence[str]) -> InputError:
    row = next(row for row, value in enumerate(values) if value.strip() == known.example)
    parts = " and ".join(map(shown, split_value(known.example, known.separator)))
    return InputError(
        f"{shown(table.file_of(row).path)}: column {shown(column)}: {shown(known.example)} may be one class "
        f"or several labels, {parts}: say `task=classes` or `task=multilabel`",
        options=("task",),
    )
