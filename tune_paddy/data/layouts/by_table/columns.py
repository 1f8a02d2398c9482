"""Columns of a table of labels: which one names the images, and which one holds the labels."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import MULTILABEL
from tune_paddy.data.layouts.by_table.flags import (
    any_set,
    dividing,
    doubtful_flags,
    is_flag,
    may_be_class,
)
from tune_paddy.data.layouts.index import has_suffix
from tune_paddy.data.system.text import shown
from tune_paddy.data.tables.csv_table import CsvTable, find_name

IMAGE_COLUMNS = (
    "path", "file", "filename", "image", "image_id", "file_name", "filepath", "file_path",
    "image_name", "image_path", "image_file", "imagename", "imagepath", "imageid", "img", "img_id",
    "img_name", "img_path", "id", "id_code", "name", "photo", "picture", "uuid", "uid",
)  # fmt: skip
"""Usual names of the image column, in order of preference."""

LABEL_COLUMNS = (
    "label", "class", "target", "labels", "class_name", "classname", "label_name", "category",
    "category_name", "class_label", "diagnosis", "disease", "species", "breed", "variety_name",
    "level", "grade", "y", "tag", "class_id", "label_id", "category_id",
)  # fmt: skip
"""Usual names of the label column, in order of preference."""


def is_usual_label(column: str) -> bool:
    """Return whether a column has a usual name of the labels, in any spelling.

    >>> is_usual_label("ClassId"), is_usual_label("weight")
    (True, False)
    """
    return find_name([column], LABEL_COLUMNS) is not None


_SAMPLED = 200
"""Number of rows that decide which column names the images."""


class ColumnError(InputError):
    """The table's columns do not tell which one is wanted."""


@dataclass(frozen=True)
class Sample:
    """What a sample submission says of the columns.

    Attributes:
        id_column: Name of its first column; "" without a sample.
        others: Names of its further columns: one of labels, or one for each class.
        words: Words in its first rows, without numbers, if it has one further column.
    """

    id_column: str = ""
    others: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()


NO_SAMPLE = Sample()
"""Columns of a sample submission that does not exist."""


def find_id_column(
    table: CsvTable, is_image: Callable[[str], bool], *, wanted: str | None = None, sample: Sample = NO_SAMPLE
) -> str | None:
    """Return the column that names images; None: no column does.

    Of the columns whose values differ from row to row, or are names of files, the one that names the most
    images is taken. Among equals, that of the sample submission and usual names come first.

    Args:
        table: Table of labels.
        is_image: Whether a value names an image.
        wanted: Name of the column that a person gave, in any case.
        sample: Columns of the sample submission.

    Raises:
        ColumnError: The wanted column does not exist.
    """
    if wanted is not None:
        return given_column(table, wanted, "id_column")
    usual = table.find_column((sample.id_column.casefold(), *IMAGE_COLUMNS))
    ranked = [name for name in (usual, *table.columns) if name]
    step = max(1, len(table.lines) // _SAMPLED)
    hits = {name: _hits(table.column(name)[::step], is_image) for name in dict.fromkeys(ranked)}
    best = max(hits.values(), default=0)
    return next(name for name in hits if hits[name] == best) if best else None


def _hits(values: Sequence[str], is_image: Callable[[str], bool]) -> int:
    """Return how many values name an image; 0 if they are repeated, as labels are, and are no file names."""
    distinct = set(values)
    may_name = 10 * len(distinct) > 9 * len(values) or all(map(has_suffix, distinct))
    return sum(map(is_image, distinct)) if may_name else 0


def find_label_columns(
    table: CsvTable,
    id_column: str,
    *,
    wanted: str | None = None,
    sample: Sample = NO_SAMPLE,
    several: bool = False,
    without: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the column that holds the labels, or the columns of 0 and 1, one for each class.

    In order of preference: the wanted column; what the sample submission names, itself or by classes; a
    usual name; the only other column; columns of 0 and 1 alone. A column that divides the images, such as
    `is_valid` or `fold`, holds no labels.

    Args:
        table: Table of labels.
        id_column: Column that names the images.
        wanted: Name of the column that a person gave, in any case; or several, separated by commas.
        sample: Columns of the sample submission.
        several: Whether a person said that an image has any number of labels.
        without: Columns that hold something else, in any case, such as groups.

    Raises:
        ColumnError: The wanted column does not exist, several columns may hold the labels, or one of
            several columns of 0 and 1 may hold something else.
    """
    if wanted is not None:
        return _given_labels(table, wanted)
    taken = {"", id_column.casefold(), *(name.strip().casefold() for name in without)}
    others = tuple(name for name in table.columns if name.casefold() not in taken)
    by_sample = _by_sample(table, others, sample)
    if by_sample:
        return by_sample
    divided = dividing(table, others, usual=is_usual_label)
    others = tuple(name for name in others if name not in divided)
    flags = tuple(name for name in others if is_flag(table, name))
    only_flags = len(flags) > 1 and flags == others
    usual = find_name(others, LABEL_COLUMNS)
    if usual is not None and not (only_flags and may_be_class(usual)):
        return (usual,)
    if len(others) == 1:
        return others
    if not others and divided:
        raise ColumnError(
            f"{shown(table.path)}:1: column {shown(divided[0])} divides the images, and no other column may "
            "hold the labels: name it with `label_column`",
            options=("label_column",),
        )
    if len(flags) > 1 and (several or only_flags or any_set(table, flags)):
        return flags if several else _without_doubt(table, flags, (usual,) if usual else ())
    columns = ", ".join(map(shown, others)) or "none"
    raise ColumnError(
        f"{shown(table.path)}:1: no column is called {' or '.join(LABEL_COLUMNS[:3])}, and several may hold "
        f"the labels ({columns}): name it with `label_column`"
        + (f", or give `task={MULTILABEL}` if those of 0 and 1 are labels" if len(flags) > 1 else ""),
        options=("label_column", "task"),
    )


def _without_doubt(table: CsvTable, flags: tuple[str, ...], usual: Sequence[str]) -> tuple[str, ...]:
    """Return columns of 0 and 1; ask about one that may say something else of an image."""
    doubtful = doubtful_flags(table, flags, usual)
    if doubtful:
        raise ColumnError(
            f"{shown(table.path)}:1: column {shown(doubtful[0])} of 0 and 1 may be one of the labels, or say "
            "something else of an image: name the columns of the labels with `label_column`, separated by "
            f"commas, or give `task={MULTILABEL}` if it is a label",
            options=("label_column", "task"),
        )
    return flags


def _by_sample(table: CsvTable, others: Sequence[str], sample: Sample) -> tuple[str, ...]:
    """Return the label columns that a sample submission tells; () if it tells none."""
    alike = {name.casefold(): name for name in reversed(others)} | {name: name for name in others}
    wanted = (name if name in alike else name.strip().casefold() for name in sample.others)
    same = tuple(alike[name] for name in wanted if name in alike)
    if sample.others and len(same) == len(sample.others):
        return same
    classes = set(sample.others)
    if len(classes) == 1 and sample.words:
        holding = [name for name in others if sample.words <= set(table.column(name))]
        return (holding[0],) if len(holding) == 1 else ()
    if len(classes) > 1:
        fitting = [name for name in others if set(table.column(name)) <= classes]
        return (fitting[0],) if len(fitting) == 1 else ()
    return ()


def _given_labels(table: CsvTable, wanted: str) -> tuple[str, ...]:
    """Return the column of a name, or the columns of 0 and 1 of several names."""
    names = [wanted] if _called(table.columns, wanted) else wanted.split(",")
    found = tuple(dict.fromkeys(given_column(table, name, "label_column") for name in names if name.strip()))
    return found or (given_column(table, wanted, "label_column"),)


def given_column(table: CsvTable, name: str, option: str) -> str:
    """Return the column of a name that a person gave, in any case.

    Args:
        table: Table of labels.
        name: Name of the column.
        option: Option that holds the name, for the message.

    Raises:
        ColumnError: There is no such column.
    """
    found = _called(table.columns, name)
    if found is None:
        raise ColumnError(
            f"{shown(table.path)}:1: no column is called {shown(name)} (`{option}`); the columns are "
            f"{', '.join(map(shown, table.columns))}",
            options=(option,),
        )
    return found


def _called(columns: Sequence[str], name: str) -> str | None:
    """Return the column of a name: spelt the same, otherwise in any spelling."""
    return name if name in columns else find_name(columns, [name.strip()])
