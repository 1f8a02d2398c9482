"""Layout: a CSV of paths and labels."""

import csv
from pathlib import Path, PurePath

import pandas as pd

from tune_paddy.core.errors import InputError
from tune_paddy.data.csv_table import CsvTable, read_csv
from tune_paddy.data.layouts.listing import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    Listing,
    check_there,
    make_labelled,
    make_test,
    read_ids,
    read_labels,
)
from tune_paddy.data.submission import SAMPLE, SubmissionFormat
from tune_paddy.data.system.text import shown

NAME = "a CSV of paths and labels"
TEST_TABLE = "test.csv"
NO_LABELS = frozenset({TEST_TABLE, SAMPLE, "submission.csv", "test_labels.csv"})
"""CSV files of a folder that never count as its labels."""

_LONGEST_HEADER = 2**16


def find_label_tables(root: Path) -> list[Path]:
    """Return the CSV files of a folder that have an image column and a label column."""
    tables = (path for path in root.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    return sorted(path for path in tables if path.name not in NO_LABELS and _has_labels(path))


def read_label_table(path: Path) -> Listing:
    """List the images of a CSV; an image's id is its path as the CSV writes it.

    Raises:
        InputError: The CSV is invalid, names a missing file, or a relative path leaves its folder.
    """
    table = read_csv(path)
    ids, labels = read_labels(table)
    test_table = path.with_name(TEST_TABLE)
    has_test = test_table.is_file() and test_table != path
    return Listing(
        layout=NAME,
        root=path.parent,
        labelled=make_labelled(ids, _find(table, ids), labels, table),
        test=_read_test(test_table) if has_test else make_test(),
        form=SubmissionFormat(table.need_column(IMAGE_COLUMNS), table.need_column(LABEL_COLUMNS)),
    )


def _read_test(path: Path) -> pd.DataFrame:
    table = read_csv(path)
    ids = read_ids(table)
    return make_test(ids, _find(table, ids))


def _find(table: CsvTable, ids: list[str]) -> list[str]:
    """Return the absolute paths of a table's images, [rows]."""
    for row, name in enumerate(ids):
        if ".." in PurePath(name).parts:
            raise InputError(
                f"{table.place(row)}: {shown(name)} contains '..': write an absolute path, or one below "
                f"{shown(table.path.parent)}"
            )
    paths = [table.path.parent / name for name in ids]
    check_there(table, ids, paths)
    return [str(path) for path in paths]


def _has_labels(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.readline(_LONGEST_HEADER).decode("utf-8-sig", errors="replace")
    try:
        names = {name.strip().casefold() for name in next(csv.reader([header]), [])}
    except csv.Error:
        return False
    return bool(names.intersection(IMAGE_COLUMNS)) and bool(names.intersection(LABEL_COLUMNS))
