"""Columns of a table that say which images stay together, and on which side of the split they are.

They stand in the table of labels, or in one of their own beside class folders.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.by_table.columns import (
    find_id_column,
    find_label_columns,
    given_column,
    is_usual_label,
)
from tune_paddy.data.layouts.by_table.images import Surroundings, recognises
from tune_paddy.data.layouts.by_table.tables import read_ids
from tune_paddy.data.layouts.folders import ClassFolders, find_class_folders, read_as_classes
from tune_paddy.data.layouts.labelled import Labelled
from tune_paddy.data.options import FOLDERS, ReadOptions
from tune_paddy.data.sides.columns import SideColumns
from tune_paddy.data.system.text import counted, listed, shown
from tune_paddy.data.tables.csv_table import CsvTable

OPTIONS = ("group", "split_column")
"""Options that name such a column."""


def wants_sides(options: ReadOptions) -> bool:
    """Return whether an option names such a column."""
    return any(getattr(options, option) is not None for option in OPTIONS)


def side_names(table: CsvTable, options: ReadOptions) -> dict[str, str]:
    """Return option → column of a table, for the options that are given and whose column it has."""
    by_name = {column.casefold(): column for column in table.columns}
    wanted = {option: str(getattr(options, option) or "").strip() for option in OPTIONS}
    found = {
        option: name if name in table.columns else by_name.get(name.casefold(), "")
        for option, name in wanted.items()
        if name
    }
    return {option: column for option, column in found.items() if column}


def is_companion(table: CsvTable, around: Surroundings) -> bool:
    """Return whether a table has a wanted column for images whose labels are the names of their folders.

    Without class folders, and if it may hold labels itself, it is judged like any other table.
    """
    names = side_names(table, around.options)
    if not names or around.options.label_column is not None or not _has_class_folders(around):
        return False
    try:
        images = find_id_column(
            table, recognises(table.path, around), wanted=around.options.id_column, sample=around.sample
        )
    except InputError:
        return False
    return images is not None and (
        around.options.labels == FOLDERS or not _may_hold_labels(table, images, list(names.values()), around)
    )


def _has_class_folders(around: Surroundings) -> bool:
    """Return whether images lie in the folders of two classes at least."""
    try:
        rows = class_folders(around).rows
    except InputError:
        return False
    return len({label for label, _ in rows}) > 1


def _may_hold_labels(table: CsvTable, images: str, sides: Sequence[str], around: Surroundings) -> bool:
    """Return whether further columns may hold labels: by their names, as flags, or by a value that recurs."""
    if any(map(is_usual_label, {*table.columns, *sides} - {images})):
        return True
    try:
        columns = find_label_columns(table, images, sample=around.sample, without=sides)
    except InputError:
        return False
    values = table.column(columns[0])
    return len(columns) > 1 or len(set(values)) < len(values)


def class_folders(around: Surroundings) -> ClassFolders:
    """Return the class folders, in the folder that a person named if there is one.

    Raises:
        InputError: There are none, or it is not clear which folders are classes.
    """
    if around.within is not None:
        return read_as_classes(around.pictures, around.within)
    return find_class_folders(around.tree, around.base)


def read_sides(labelled: Labelled, companion: CsvTable | None, around: Surroundings) -> SideColumns:
    """Read the wanted columns.

    Args:
        labelled: Labelled images.
        companion: Table of the columns; None: that of the labels.
        around: Files of the dataset.

    Raises:
        InputError: There is no table, a column is missing or is that of the images or labels, or an image has
            no row.
    """
    if not wants_sides(around.options):
        return SideColumns()
    own = labelled.table is not None and bool(side_names(labelled.table, around.options))
    table = labelled.table if own or companion is None else companion
    given = tuple(option for option in OPTIONS if getattr(around.options, option) is not None)
    if table is None:
        column = getattr(around.options, given[0])
        raise InputError(
            f"{shown(around.tree.root)}: the labels are the names of folders, and no table has a column of "
            f"images and a column {shown(column)} (`{given[0]}`): name the table with `labels=FILE`",
            options=(given[0], "labels"),
        )
    names = {option: _column(table, around, labelled, option) for option in given}
    rows = range(len(table.lines)) if table is labelled.table else _rows_of(labelled, table, around)
    values = {
        option: dict(zip(labelled.ids, (table.column(column)[row].strip() for row in rows), strict=True))
        for option, column in names.items()
    }
    return SideColumns(
        groups=values.get("group", {}),
        parts=values.get("split_column", {}),
        names=names,
        table=table.title,
    )


def _column(table: CsvTable, around: Surroundings, labelled: Labelled, option: str) -> str:
    column = given_column(table, getattr(around.options, option), option)
    used = labelled.columns if labelled.table is table else ()
    if column in used:
        what = "names the images" if column == used[0] else "holds the labels"
        raise InputError(
            f"{shown(table.path)}:1: the column {shown(column)} {what} and cannot be `{option}`: name "
            "another column",
            options=(option,),
        )
    return column


def _rows_of(labelled: Labelled, table: CsvTable, around: Surroundings) -> list[int]:
    """Return the row of each labelled image in a table of its own."""
    row_of: dict[str, int] = {}
    for name, row in _rows_of_images(table, set(labelled.files), around):
        first = row_of.setdefault(name, row)
        if first != row:
            raise InputError(
                f"{table.place(first)} and {table.place(row)}: name the image {shown(name)} twice: keep one "
                "of the rows"
            )
    missing = [name for name in labelled.files if name not in row_of]
    if missing:
        raise InputError(
            f"{table.where}: names {len(row_of):,} of "
            f"{counted(len(labelled.files), 'labelled image')}: "
            f"add a row for each{listed(map(shown, missing), len(missing))}",
            options=OPTIONS,
        )
    return [row_of[name] for name in labelled.files]


def _rows_of_images(table: CsvTable, files: set[str], around: Surroundings) -> Iterator[tuple[str, int]]:
    """Yield (labelled image, row) of each row that names one, in each file of a table."""
    start = 0
    for file in table.by_file:
        ids = read_ids(file, _images_column(file, around))
        yield from ((name, start + row) for name, row in _named(file, ids, files, around))
        start += len(ids)


def _images_column(table: CsvTable, around: Surroundings) -> str:
    column = find_id_column(
        table, recognises(table.path, around), wanted=around.options.id_column, sample=around.sample
    )
    if column is None:
        raise InputError(
            f"{shown(table.path)}:1: no column names images of the dataset: name it with `id_column`",
            options=("id_column",),
        )
    return column


def _named(
    table: CsvTable, ids: Sequence[str], files: set[str], around: Surroundings
) -> Iterator[tuple[str, int]]:
    """Yield (labelled image, row) of each row that names one; rows of other images are passed over."""
    starts = around.starts(table.path)
    for row, name in enumerate(ids):
        found = [file for file in around.index.find(name, starts) if file in files]
        if len(found) > 1:
            raise InputError(
                f"{table.place(row)}: {shown(name)} can be {' or '.join(map(shown, found[:2]))}: write its "
                "path",
                options=("id_column",),
            )
        yield from ((file, row) for file in found)


def companion_name(names: Sequence[str]) -> str:
    """Return the only table that has the wanted columns; "": there is none.

    Raises:
        InputError: There are several.
    """
    if len(names) > 1:
        tables = ", ".join(shown(PurePath(name).name) for name in names)
        raise InputError(
            f"several tables have the wanted column, {tables}: name one with `labels=FILE`",
            options=("labels",),
        )
    return next(iter(names), "")
