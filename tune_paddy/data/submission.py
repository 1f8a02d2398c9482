"""Submissions: predicted labels of the test images, in the format of a leaderboard."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.csv_table import format_csv, read_csv, read_table
from tune_paddy.data.system.files import write_atomically
from tune_paddy.data.system.text import counted, shown

SAMPLE = "sample_submission.csv"
"""File of a dataset that determines the test images of a submission, and their order."""


@dataclass(frozen=True)
class SubmissionFormat:
    """Names of a submission's two columns; the defaults are those of Paddy Doctor."""

    id_column: str = "image_id"
    label_column: str = "label"


@dataclass(frozen=True)
class Submission:
    """Submission, or sample submission, read from a file.

    Attributes:
        path: Path of the file.
        form: Names of the columns.
        ids: Image ids, [test images].
        labels: Labels, [test images]; meaningless in a sample, and empty if it has a column per class.
    """

    path: Path
    form: SubmissionFormat
    ids: tuple[str, ...]
    labels: tuple[str, ...]


def read_submission(path: Path) -> Submission:
    """Read a CSV of two columns: ids, then labels.

    Raises:
        InputError: The file is not such a CSV, or names an image twice.
    """
    table = read_csv(path)
    if len(table.columns) != 2:  # noqa: PLR2004 ids and labels
        raise InputError(
            f"{shown(path)}:1: has {len(table.columns)} columns; a submission has two, ids and labels"
        )
    ids, labels = zip(*table.rows, strict=True)
    form = SubmissionFormat(*table.columns)
    submission = Submission(path, form, ids, labels)
    _check_unique(submission.ids, path)
    return submission


def read_sample(path: Path) -> Submission:
    """Read a sample submission: ids in its first column, then labels, or a column per class.

    Raises:
        InputError: The file has no rows or a single column, or names an image twice.
    """
    table = read_table(path)
    ids = tuple(table.column(table.columns[0]))
    _check_unique(ids, path)
    if len(table.columns) < 2:  # noqa: PLR2004 ids and labels
        raise InputError(f"{shown(path)}:1: has one column; a sample submission has ids and labels")
    has_labels = len(table.columns) == 2  # noqa: PLR2004
    labels = tuple(table.column(table.columns[1])) if has_labels else ()
    return Submission(path, SubmissionFormat(table.columns[0], table.columns[1]), ids, labels)


def write_submission(path: Path, ids: Sequence[str], labels: Sequence[str], form: SubmissionFormat) -> None:
    """Write a submission atomically; equal arguments give equal bytes on every platform.

    Args:
        path: Path of the CSV.
        ids: Image ids, [test images], in the order of the dataset's test frame.
        labels: Class names, [test images].
        form: Names of the columns.

    Raises:
        InputError: An image is named twice.
        TunePaddyError: The file cannot be written.
    """
    _check_unique(ids, path)
    header = (form.id_column, form.label_column)
    write_atomically(path, format_csv([header, *zip(ids, labels, strict=True)]))


def check_submission(submission: Path, sample: Path, classes: Collection[str]) -> None:
    """Compare a submission with a sample: same columns, same ids in the same order, known labels.

    The columns of a sample with a column per class are not compared: a submission holds labels.

    Raises:
        InputError: They differ; the message names the first difference.
    """
    got, wanted = read_submission(submission), read_sample(sample)
    if wanted.labels and got.form != wanted.form:
        raise InputError(
            f"{shown(submission)}: has columns {_names(got.form)}, but "
            f"{shown(sample)} has {_names(wanted.form)}"
        )
    check_same_ids(got.ids, wanted.ids, what=shown(submission), wanted_by=shown(sample))
    _check_order(got, wanted)
    strange = next((label for label in got.labels if label not in classes), None)
    if strange is not None:
        raise InputError(f"{shown(submission)}: '{shown(strange)}' is not a class of the training images")


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


def _names(form: SubmissionFormat) -> str:
    return f"{shown(form.id_column)}, {shown(form.label_column)}"
