"""Submissions as files: read, write, and compare with a sample submission."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import SEPARATOR
from tune_paddy.data.submission.form import Kind, SubmissionFormat
from tune_paddy.data.system.files import write_atomically
from tune_paddy.data.system.text import counted, shown
from tune_paddy.data.tables.csv_table import CsvTable, format_csv, read_csv, read_table

_PAIR = 2
"""Number of columns of ids and labels."""


@dataclass(frozen=True)
class Submission:
    """Submission, or sample submission, read from a file.

    Attributes:
        path: Path of the file.
        columns: Names of the columns, that of the ids first.
        ids: Image ids, [test images].
        values: Values after the id, [test images][columns - 1]; meaningless in a sample.
    """

    path: Path
    columns: tuple[str, ...]
    ids: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Values of the only other column, [test images]; empty if there are several columns."""
        return tuple(row[0] for row in self.values) if len(self.columns) == _PAIR else ()

    @property
    def numbers(self) -> NDArray[np.float64] | None:
        """Values as numbers, [test images, columns - 1]; None: they are labels.

        Whole numbers in a single column are labels.
        """
        single = len(self.columns) == _PAIR
        if not all(map(_is_number, (value for row in self.values for value in row))):
            return None
        numbers = np.array(self.values, np.float64)
        return None if single and all(value.isdecimal() for (value,) in self.values) else numbers

    @property
    def form(self) -> SubmissionFormat:
        """Names of the columns of ids and labels."""
        return SubmissionFormat(self.columns[0], self.columns[1])


def read_submission(path: Path) -> Submission:
    """Read a submission: a CSV of ids and labels, or of ids and numbers.

    Raises:
        InputError: The file is not such a CSV, or names an image twice.
    """
    submission = _read(read_csv(path))
    if len(submission.columns) > _PAIR:
        for row in submission.values:
            if not all(map(_is_number, row)):
                raise InputError(
                    f"{shown(path)}:1: has {len(submission.columns)} columns, and not all hold numbers; a "
                    "submission has ids and labels, or ids and a column of probabilities per class"
                )
    return submission


def read_sample(path: Path) -> Submission:
    """Read a sample submission: ids in its first column, then labels, or a column per class.

    Raises:
        InputError: The file has no rows or a single column, or names an image twice.
    """
    return _read(read_table(path))


def write_submission(
    path: Path,
    ids: Sequence[str],
    probs: NDArray[np.floating],
    labels: Sequence[str],
    form: SubmissionFormat,
    *,
    classes: Sequence[str],
) -> None:
    """Write a submission atomically; equal arguments give equal bytes on every platform.

    A number has the fewest digits, at most nine, that give the same float32 when they are read.

    Args:
        path: Path of the CSV.
        ids: Image ids, [test images], in the order of the dataset's test frame.
        probs: Probabilities, [test images, classes].
        labels: Decided labels, [test images]: names of classes, or of several, joined by `|`.
        form: Columns and their content.
        classes: Names of the classes, in the order of the last axis of `probs`.

    Raises:
        InputError: An image is named twice, or the form has a column of an unknown class.
        TunePaddyError: The file cannot be written.
    """
    _check_unique(ids, path)
    rows = _values(probs, labels, form, classes)
    write_atomically(
        path, format_csv([form.header, *((name, *row) for name, row in zip(ids, rows, strict=True))])
    )


def check_submission(
    submission: Path, sample: Path, classes: Collection[str], form: SubmissionFormat | None = None
) -> None:
    """Compare a submission with a sample: same columns, same ids in the same order, and known content.

    The columns are not compared if a person chose another form than the sample's.

    Args:
        submission: Path of the submission.
        sample: Path of the sample submission.
        classes: Names of all classes.
        form: Columns of the submission and their content; None: labels.

    Raises:
        InputError: They differ; the message names the first difference.
    """
    got, wanted = read_submission(submission), read_sample(sample)
    form = form or got.form
    check_columns(got.columns, form, wanted, what=shown(submission))
    check_same_ids(got.ids, wanted.ids, what=shown(submission), wanted_by=shown(sample))
    _check_order(got, wanted)
    _check_content(got, form, classes)


def check_columns(columns: Sequence[str], form: SubmissionFormat, sample: Submission, *, what: str) -> None:
    """Compare the names of columns with a sample's, unless a person chose a form that it does not have.

    Args:
        columns: Names of the columns of a submission.
        form: Columns that the submission should have.
        sample: The sample submission.
        what: Name of the submission, for the message.

    Raises:
        InputError: They differ.
    """
    is_its_form = (len(sample.columns) > _PAIR) == (form.kind is Kind.PROBABILITIES)
    wanted = sample.columns if is_its_form else form.header
    if tuple(columns) != wanted:
        raise InputError(
            f"{what}: has columns {_names(columns)}, but {shown(sample.path)} has {_names(wanted)}"
        )


def check_same_ids(got: Iterable[str], wanted: Iterable[str], *, what: str, wanted_by: str) -> None:
    """Compare two sets of ids.

    Args:
        got: Actual ids.
        wanted: Expected ids.
        what: Name of the source of `got`, for the message.
        wanted_by: Name of the source of `wanted`, for the message.

    Raises:
        InputError: They differ; the message counts missing and extra ids and names the first of each.
    """
    there, asked = set(got), set(wanted)
    missing, extra = sorted(asked - there), sorted(there - asked)
    texts = [f"lacks {counted(len(missing), 'image')}, such as {shown(missing[0])}"] if missing else []
    texts += [f"has {counted(len(extra), 'other')}, such as {shown(extra[0])}"] if extra else []
    if texts:
        raise InputError(f"{what} does not match {wanted_by}: it {' and '.join(texts)}")


def _read(table: CsvTable) -> Submission:
    path = table.path
    ids = tuple(row[0] for row in table.rows)
    _check_unique(ids, path)
    if len(table.columns) < _PAIR:
        raise InputError(f"{shown(path)}:1: has one column; a submission has ids and labels")
    return Submission(path, table.columns, ids, tuple(row[1:] for row in table.rows))


def _values(
    probs: NDArray[np.floating], labels: Sequence[str], form: SubmissionFormat, classes: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return the values after the ids, [images][columns]."""
    if form.kind.is_numeric:
        return _numbers(probs, form, classes)
    return _ranked(probs, form, classes) if form.kind is Kind.RANKED else _texts(labels, form)


def _ranked(
    probs: NDArray[np.floating], form: SubmissionFormat, classes: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return the most probable classes, joined, [images][1]; a tie goes to the first class."""
    order = np.argsort(-probs, axis=1, kind="stable")[:, : form.count]
    return [(form.separator.join(classes[code] for code in row),) for row in order.tolist()]


def _texts(labels: Sequence[str], form: SubmissionFormat) -> list[tuple[str, ...]]:
    """Return the values of a column of labels, [images][1]."""
    if form.kind is Kind.LABELS:
        return [(label,) for label in labels]
    return [(form.separator.join(label.split(SEPARATOR)),) for label in labels]


def _numbers(
    probs: NDArray[np.floating], form: SubmissionFormat, classes: Sequence[str]
) -> list[tuple[str, ...]]:
    """Return the probabilities of the form's classes as text, [images][columns]."""
    place = {name: row for row, name in enumerate(classes)}
    unknown = next((name for name in form.classes if name not in place), None)
    if unknown is not None:
        raise InputError(f"the submission has a column of {shown(unknown)}, which is no class of the members")
    chosen = probs[:, [place[name] for name in form.classes]].astype(np.float32)
    return [tuple(map(str, row)) for row in chosen]  # the shortest text of a float32


def _check_content(got: Submission, form: SubmissionFormat, classes: Collection[str]) -> None:
    if form.kind.is_numeric:
        for name, row in zip(got.ids, got.values, strict=True):
            odd = next((value for value in row if not _is_number(value) or not 0 <= float(value) <= 1), None)
            if odd is not None:
                raise InputError(f"{shown(got.path)}: {shown(odd)} of {shown(name)} is no probability")
        return
    split = form.separator if form.kind in (Kind.JOINED, Kind.RANKED) else None
    for label in got.labels:
        parts = [label] if split is None else [part for part in label.split(split) if label]
        strange = next((part for part in parts if part not in classes), None)
        if strange is not None:
            raise InputError(f"{shown(got.path)}: '{shown(strange)}' is not a class of the training images")


def _check_order(got: Submission, wanted: Submission) -> None:
    for row, (mine, theirs) in enumerate(zip(got.ids, wanted.ids, strict=True)):
        if mine != theirs:
            raise InputError(
                f"{shown(got.path)}: image {row + 1} is {shown(mine)}, but {shown(wanted.path)} has "
                f"{shown(theirs)}: use its order"
            )


def _check_unique(ids: Iterable[str], path: Path) -> None:
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        images = counted(len(twice), "image")
        raise InputError(f"{shown(path)}: names {images} twice, the first is {shown(twice[0])}")


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _names(columns: Sequence[str]) -> str:
    return ", ".join(map(shown, columns))
