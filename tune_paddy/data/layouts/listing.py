"""Result of a layout: its images and labels; and the checks that layouts share."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import pandas as pd

from tune_paddy.core.errors import InputError
from tune_paddy.data.csv_table import CsvTable
from tune_paddy.data.images import SUFFIXES
from tune_paddy.data.submission import SubmissionFormat
from tune_paddy.data.system.text import counted, listed, shown

IMAGE_COLUMNS = ("path", "file", "filename", "image", "image_id")
"""Names of the image column, in order of preference."""

LABEL_COLUMNS = ("label", "class", "target")
"""Names of the label column, in order of preference."""

TEST_FOLDERS = ("test_images", "test")

_OURS = ("id", "path", "label")


@dataclass(frozen=True, eq=False)
class Listing:
    """Images of a dataset, not opened yet.

    Attributes:
        layout: Display name of the layout.
        root: Folder of the dataset.
        labelled: Frame with the columns id, path (absolute), label, and the further ones of a table.
        test: Frame with the columns id and path (absolute); may be empty.
        form: Column names of a submission.
        sample: Path of the sample submission that determined `test`, or None.
        notes: Messages about ignored files.
    """

    layout: str
    root: Path
    labelled: pd.DataFrame
    test: pd.DataFrame
    form: SubmissionFormat
    sample: Path | None = None
    notes: tuple[str, ...] = ()


def read_labels(table: CsvTable) -> tuple[list[str], list[str]]:
    """Return the ids and labels of a table, [rows] each.

    Raises:
        InputError: A column is missing, an id or a label is empty, or an id is duplicate.
    """
    ids = read_ids(table)
    labels = table.column(table.need_column(LABEL_COLUMNS))
    _check_filled(table, labels, "label")
    return ids, labels


def read_ids(table: CsvTable) -> list[str]:
    """Return the ids of a table, [rows].

    Raises:
        InputError: The column is missing, or an id is empty or duplicate.
    """
    ids = table.column(table.need_column(IMAGE_COLUMNS))
    _check_filled(table, ids, "image")
    rows: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in rows:
            raise InputError(
                f"{table.place(row)}: duplicate image {shown(name)}, first in line "
                f"{table.lines[rows[name]]}: keep one"
            )
        rows[name] = row
    return ids


def _check_filled(table: CsvTable, values: Sequence[str], what: str) -> None:
    empty = [row for row, value in enumerate(values) if not value.strip()]
    if empty:
        more = f", as in {len(empty) - 1} other lines" if len(empty) > 1 else ""
        raise InputError(f"{table.place(empty[0])}: has no {what}{more}: fill it in or remove the line")


def make_labelled(
    ids: Sequence[str], paths: Sequence[str], labels: Sequence[str], table: CsvTable | None = None
) -> pd.DataFrame:
    """Build the labelled frame; convert a table's further columns to numbers if all values are numeric.

    Further columns called id, path or label are omitted.
    """
    frame = pd.DataFrame({"id": ids, "path": paths, "label": labels}, dtype=str)
    if table is None:
        return frame
    used = {table.find_column(IMAGE_COLUMNS), table.find_column(LABEL_COLUMNS), *_OURS}
    for name in table.columns:
        if name not in used:
            frame[name] = _as_numbers(pd.Series(table.column(name), dtype=str))
    return frame


def make_test(ids: Sequence[str] = (), paths: Sequence[str] = ()) -> pd.DataFrame:
    """Build the test frame."""
    return pd.DataFrame({"id": list(ids), "path": list(paths)}, dtype=str)


def _as_numbers(values: "pd.Series[str]") -> "pd.Series[str] | pd.Series[float]":
    try:
        return pd.to_numeric(values)
    except (ValueError, TypeError):
        return values


def list_images(folder: Path) -> tuple[list[str], list[str]]:
    """Find the image files in a folder tree by their suffixes.

    Returns:
        Sorted paths relative to `folder`, with forward slashes, and the absolute paths.

    Raises:
        InputError: A name is not UTF-8.
        OSError: A folder cannot be read.
    """
    found: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not is_passed_over(name)]
        images = (name for name in files if is_image_name(name))
        found.extend(Path(parent, name).relative_to(folder).as_posix() for name in images)
    found.sort()
    for name in found:
        _check_utf8(folder, name)
    return found, [str(folder / name) for name in found]


def is_image_name(name: str) -> bool:
    """Return whether a file name has an image suffix and is not ignored."""
    return PurePath(name).suffix.lower() in SUFFIXES and not is_passed_over(name)


def is_passed_over(name: str) -> bool:
    """Return whether a file or folder is ignored: hidden, or left by an archiver."""
    return name.startswith(".") or name == "__MACOSX"


def is_file(path: Path) -> bool:
    """Return whether a file exists; an impossible name is not an error."""
    try:
        return path.is_file()
    except OSError:
        return False


def check_there(table: CsvTable, ids: Sequence[str], paths: Sequence[Path]) -> None:
    """Check that every image of a table exists.

    Raises:
        InputError: Files are missing; the message lists them.
    """
    missing = [row for row, path in enumerate(paths) if not is_file(path)]
    if missing:
        lines = (f"line {table.lines[row]}: {shown(ids[row])}" for row in missing)
        raise InputError(
            f"{shown(table.path)}: {counted(len(missing), 'image')} missing, the first is expected at "
            f"{shown(paths[missing[0]])}: copy them there, or remove their lines{listed(lines, len(missing))}"
        )


def _check_utf8(folder: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{shown(folder / name)}: its name is not UTF-8: rename it") from error


def _raise(error: OSError) -> None:
    raise error


def find_test_image(data: Path, name: str) -> Path | None:
    """Return the file of an id in a folder for test images or in `data` itself; None if there is none."""
    candidates = (data / folder / name for folder in (*TEST_FOLDERS, ""))
    return next((path for path in candidates if is_file(path)), None)
