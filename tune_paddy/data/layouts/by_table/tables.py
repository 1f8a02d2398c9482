"""Tables of a dataset: which one holds the labels, and the images that it names."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path, PurePath

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import MULTILABEL
from tune_paddy.data.labels.values import LabelValues, read_label_values
from tune_paddy.data.layouts.by_table.columns import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    ColumnError,
    find_id_column,
    find_label_columns,
    is_usual_label,
)
from tune_paddy.data.layouts.by_table.flags import dividing
from tune_paddy.data.layouts.by_table.images import Surroundings, find_files, folder_finder, recognises
from tune_paddy.data.layouts.by_table.local_paths import read_local
from tune_paddy.data.layouts.by_table.unread import find_unread, unread
from tune_paddy.data.layouts.index import has_suffix, lies_in
from tune_paddy.data.layouts.names import Role, are_parts, is_sample, is_submission, role_of
from tune_paddy.data.layouts.tree import Tree, parent_of
from tune_paddy.data.system.own_output import table_kind
from tune_paddy.data.system.text import shown
from tune_paddy.data.tables.csv_table import CsvTable

DEEPEST = 1
"""Number of folders between a dataset and a table beside images; one further down is only reported."""
_MOST_DEEPER = 20
"""Number of tables further down above which they are those of single images or classes."""

NAMES_NONE = "no column of it names images"
"""Why a table that is about something else is not used."""

TO_PREDICT = "it names images to predict only"
"""Why the labels of a test part are not used."""

ROWS_APART = "each row has another label"
"""Why a table of names or of texts is not used; so is a part with a single image of each class."""

_READ_ROWS = 100
"""Number of rows that tell whether the program wrote a table."""


@dataclass(frozen=True, eq=False)
class LabelTable:
    """A table of labels whose images are there.

    Attributes:
        table: The table.
        id_column: Name of the column of images.
        label_columns: Name of the column of labels, or names of the columns of 0 and 1.
        ids: Ids as the table has them, [rows].
        read: Labels, [rows], and whether a row has several.
        files: Images relative to the pictures, or absolute paths, [rows].
        validation: Names of the tables of a validation part among those that were joined.
    """

    table: CsvTable
    id_column: str
    label_columns: tuple[str, ...]
    ids: list[str]
    read: LabelValues
    files: list[str]
    validation: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """Text of the label of each row, [rows]."""
        return self.read.texts

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.table.path


class Kind(StrEnum):
    """What a table is to a dataset."""

    LABELS = "labels"
    SAMPLE = "sample submission"
    TEST = "list of images to predict"
    OTHER = "other"
    PROBLEM = "not understood"


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a table is, and why.

    Attributes:
        name: Path of the table relative to the dataset.
        kind: What it is.
        reason: Why it is not used, or what is wrong with it.
        labels: Its content if it holds labels.
        named: Labelled images that it names, if it was not understood.
    """

    name: str
    kind: Kind
    reason: str = ""
    labels: LabelTable | None = None
    named: frozenset[str] = frozenset()


def judge(name: str, around: Surroundings) -> Verdict:
    """Decide what a table of the dataset is; nothing is raised for a table that is not understood.

    Args:
        name: Path of the table relative to the tree.
        around: Files around it.
    """
    file = PurePath(name).name
    if is_sample(file):
        return Verdict(name, Kind.SAMPLE)
    if is_submission(file):
        return Verdict(name, Kind.OTHER, "a submission")
    try:
        table = read_local(around.tree.path(name), around)
    except InputError as error:  # of a list, it is raised where the images to predict are read
        return Verdict(name, Kind.TEST) if is_list(name) else Verdict(name, Kind.PROBLEM, str(error))
    written = table_kind(table.columns, list(islice(zip(*table.values, strict=True), _READ_ROWS)))
    if written:
        return Verdict(name, Kind.OTHER, written)
    if is_list(name):
        return Verdict(name, Kind.TEST)
    return _judge_content(name, table, around)


def is_list(name: str) -> bool:
    """Return whether a table's name is that of a list of images to predict, such as `test.csv`."""
    return role_of(PurePath(name).stem) is Role.TEST


def _judge_content(name: str, table: CsvTable, around: Surroundings) -> Verdict:
    options = around.options
    is_image = recognises(table.path, around)
    try:
        column = find_id_column(table, is_image, wanted=options.id_column, sample=around.sample)
        reason = _no_images(table, around, is_image) if column is None else ""
        reason = reason or _no_labels(table, column, around)
        if reason:
            _check_header(table, table.columns, is_image)
            return Verdict(name, Kind.OTHER, reason)
        read = _read_labels(table, around, column)
        if _tells_rows_apart(read):  # such as the names of the classes
            return Verdict(name, Kind.OTHER, ROWS_APART)
        found = _with_files(read, around)
    except InputError as error:
        named = frozenset() if column is None else named_images(table, column, around)
        return Verdict(name, Kind.PROBLEM, str(error), named=named)
    if all(map(lies_in(around.test_folders or ["/"]), found.files)):
        return Verdict(name, Kind.OTHER, TO_PREDICT)
    return Verdict(name, Kind.LABELS, labels=found)


def _tells_rows_apart(found: LabelTable) -> bool:
    """Return whether each row has another label."""
    return len(set(found.labels)) == len(found.labels) and found.read.task != MULTILABEL


def _no_images(table: CsvTable, around: Surroundings, is_image: Callable[[str], bool]) -> str:
    """Return why a table of which no column names images is not used; "": its columns are named like labels.

    Raises:
        InputError: It may be meant as one that names images.
    """
    if _lists_parts(table):
        return "its rows are parts of the dataset"
    if _claims_labels(table):
        return ""
    _check_header(table, table.columns, is_image)
    _check_separated(table, around)
    _check_there(table, around)
    return NAMES_NONE


def _no_labels(table: CsvTable, column: str | None, around: Surroundings) -> str:
    """Return why no column of a table can hold labels; "": one can, or a person has named one."""
    if around.options.label_column is not None:
        return ""
    others = [name for name in table.columns if name and name != column]
    divided = dividing(table, others, usual=is_usual_label)
    if not others and column is not None:
        return "it has no column but that of the images"
    return (
        f"its column {shown(divided[0])} divides the images" if others and len(divided) == len(others) else ""
    )


def read_label_table(table: CsvTable, around: Surroundings) -> LabelTable:
    """Read the labels of a table, and find its images.

    Args:
        table: Table of labels.
        around: Files around it.

    Raises:
        InputError: A column cannot be told, an id or a label is empty, an id is duplicate, ambiguous or
            leaves the folder, or an image is missing.
    """
    column = find_id_column(
        table, recognises(table.path, around), wanted=around.options.id_column, sample=around.sample
    )
    return _with_files(_read_labels(table, around, column), around)


def _read_labels(table: CsvTable, around: Surroundings, column: str | None) -> LabelTable:
    """Read the labels of a table whose images are in a column, or in one with a usual name; without files."""
    if column is None:
        _check_separated(table, around)
        column = usual_id_column(table)
    _check_header(table, [column], recognises(table.path, around))
    ids = read_ids(table, column)
    columns, values = read_values(table, around, column)
    return LabelTable(table, column, columns, ids, values, [])


def read_values(table: CsvTable, around: Surroundings, column: str) -> tuple[tuple[str, ...], LabelValues]:
    """Return the columns of the labels of a table, and its labels.

    Args:
        table: Table of labels.
        around: Files around it.
        column: Column that names the images.

    Raises:
        InputError: It is not clear which column holds the labels, or a label is not valid.
    """
    options = around.options
    named = (options.group, options.split_column)
    sides = [name for name in named if name and not is_usual_label(name)]
    columns = find_label_columns(
        table,
        column,
        wanted=options.label_column,
        sample=around.sample,
        several=options.task == MULTILABEL,
        without=sides,
    )
    return columns, read_label_values(table, columns, options.task, classes=around.sample.others)


def _with_files(read: LabelTable, around: Surroundings) -> LabelTable:
    """Find the images of a table whose labels are read."""
    return replace(read, files=find_files(read.table, read.ids, around, labels=read.labels))


def read_ids(table: CsvTable, column: str) -> list[str]:
    """Return the ids of a table, [rows].

    Raises:
        InputError: An id is empty or duplicate.
    """
    ids = table.column(column)
    _check_filled(table, ids, "image")
    rows: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in rows:
            raise InputError(
                f"{table.place(row)}: duplicate image {shown(name)}, first in line "
                f"{table.lines[rows[name]]}: keep one row for each image; several labels belong in one row, "
                "such as scab|rust"
            )
        rows[name] = row
    return ids


def _check_header(table: CsvTable, columns: Iterable[str], is_image: Callable[[str], bool]) -> None:
    """Refuse a table whose first line names an image instead of the columns."""
    image = next((name for name in columns if is_image(name)), None)
    if image is not None:
        raise InputError(
            f"{shown(table.path)}:1: starts with the image {shown(image)}: add a line of column names above "
            "it, such as image,label"
        )


def _check_separated(table: CsvTable, around: Surroundings) -> None:
    """Refuse a table whose lines name images beside something else, but were read as one column."""
    if len(table.columns) == 1 and find_unread(table.values[0], folder_finder(table.path, around)):
        raise InputError(unread(shown(table.path)))


def _check_there(table: CsvTable, around: Surroundings) -> None:
    """Refuse a table that names image files of which none is there, and may hold their labels."""
    values = {name: set(table.column(name)) for name in table.columns if name}
    files = [name for name in values if 1 < len(values[name]) == len(table.lines)]
    files = [name for name in files if all(map(has_suffix, values[name]))]
    if files and any(1 < len(distinct) < len(table.lines) for distinct in values.values()):
        raise InputError(
            f"{shown(table.path)}: column {shown(files[0])} names image files, such as "
            f"{shown(table.column(files[0])[0])}, but none that is in {shown(around.pictures.root)}: "
            "correct it"
        )


def named_images(
    table: CsvTable, column: str, around: Surroundings, part: Role = Role.TRAIN
) -> frozenset[str]:
    """Return the images that a column names.

    Args:
        table: Table of images.
        column: The column.
        around: Files around the table.
        part: Part whose images it names.
    """
    starts = around.starts(table.path, part)
    return frozenset(name for value in table.column(column) for name in around.index.find(value, starts))


def _claims_labels(table: CsvTable) -> bool:
    """Return whether a table has usual names for the images and the labels."""
    return table.find_column(IMAGE_COLUMNS) is not None and table.find_column(LABEL_COLUMNS) is not None


def _lists_parts(table: CsvTable) -> bool:
    """Return whether each row is a part, as in JSON such as `{"train": ["1.jpg"], "test": ["2.jpg"]}`."""
    column = table.find_column(IMAGE_COLUMNS)
    names = table.column(column) if column is not None else []
    return are_parts(names) and len(set(map(role_of, names))) == len(names)


def usual_id_column(table: CsvTable) -> str:
    """Return the column with a usual name of images, although none of them is there.

    Raises:
        ColumnError: No column has such a name.
    """
    column = table.find_column(IMAGE_COLUMNS)
    if column is None:
        raise ColumnError(
            f"{shown(table.path)}:1: no column names images of the dataset; the columns are "
            f"{', '.join(map(shown, table.columns))}: name it with `id_column`, or give the folder of the "
            "images with `images`",
            options=("id_column", "images"),
        )
    return column


def _check_filled(table: CsvTable, values: Sequence[str], what: str) -> None:
    empty = [row for row, value in enumerate(values) if not value.strip()]
    if empty:
        more = f", as in {len(empty) - 1} other lines" if len(empty) > 1 else ""
        raise InputError(f"{table.place(empty[0])}: has no {what}{more}: fill it in or remove the line")


def tables_near(tree: Tree, base: str, names: Iterable[str] | None = None) -> list[str]:
    """Return the tables of the dataset: in its folder, in folders directly in it, or beside no images.

    Tables further down that lie beside images describe those of one folder.

    Args:
        tree: Files of the dataset.
        base: Folder that holds the dataset, relative to the tree.
        names: Files to choose from; None: all tables.
    """
    depth = base.count("/") + 1 if base else 0
    near, deeper = list[str](), list[str]()
    for name in tree.tables if names is None else names:
        if not base or name.startswith(f"{base}/"):
            if name.count("/") - depth <= DEEPEST:
                near.append(name)
            elif not tree.files(parent_of(name)):
                deeper.append(name)
    return [*near, *(deeper if len(deeper) <= _MOST_DEEPER else ())]
