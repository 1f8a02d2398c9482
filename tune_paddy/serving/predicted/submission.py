"""Predictions in the form of a search's sample submission."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from tune_paddy.core.errors import InputError
from tune_paddy.data.submission.files import check_same_ids, read_sample
from tune_paddy.data.submission.form import SAMPLE, SubmissionFormat
from tune_paddy.data.system.text import shown
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import SearchRecord


@dataclass(frozen=True)
class Form:
    """Form of a search's submission.

    Attributes:
        columns: Columns, and their content.
        ids: Image ids of the sample submission, in its order; empty if there is no sample on this machine.
    """

    columns: SubmissionFormat = field(default_factory=SubmissionFormat)
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Rows of a submission.

    Attributes:
        ids: Image ids, [rows].
        files: Index of each row's image among the predicted files, [rows].
        in_sample: Whether the ids are those of the sample, in its order.
    """

    ids: tuple[str, ...]
    files: tuple[int, ...]
    in_sample: bool


def recorded_form(search: RecordedRun, classes: Sequence[str]) -> Form:
    """Return the form of a search's submission: the columns in the record, and the ids of its sample.

    Args:
        search: Run of the search.
        classes: Names of the classes, in the order of predictions.

    Raises:
        InputError: Its sample submission cannot be read.
    """
    record = SearchRecord.from_run(search)
    sample = record.sample_submission
    ids = read_sample(sample).ids if record.dataset is not None and sample.is_file() else ()
    return Form(record.submission(classes), ids)


def arrange(files: Sequence[str], form: Form) -> Rows:
    """Return the rows of a submission: the sample's if the files are its images, otherwise one per file.

    Args:
        files: Paths of the predicted images; a path matches an id that it ends with, with or without suffix.
        form: Form of the submission.

    Raises:
        InputError: Some files are images of the sample, but not exactly one for each of its ids; or two
            files of other images have one name.
    """
    found = dict(_matches(files, form.ids))
    if not found:
        return _new_rows(files, form)
    by_file = {file: name for name, file in found.items()}
    names = [by_file.get(row, file) for row, file in enumerate(files)]
    check_same_ids(names, form.ids, what="the list of images", wanted_by=SAMPLE)
    return Rows(form.ids, tuple(found[name] for name in form.ids), in_sample=True)


def _matches(files: Sequence[str], ids: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield each id of a sample that a file has, and the index of the file."""
    wanted, taken = set(ids), dict[str, int]()
    for row, file in enumerate(files):
        for name in filter(wanted.__contains__, _names(file)):
            if name in taken:
                both = f"{shown(files[taken[name]])} and {shown(file)}"
                raise InputError(f"{both} are both image {shown(name)} of {SAMPLE}: give one of them")
            taken[name] = row
            yield name, row
            break


def _names(file: str) -> Iterator[str]:
    """Yield the ids that a file may have: each end of its path, with and without suffix."""
    path = PurePath(file)
    parts = [part for part in path.parts if part != path.anchor]
    for length in range(1, len(parts) + 1):
        tail = PurePath(*parts[-length:])
        yield tail.as_posix()
        yield tail.with_suffix("").as_posix()


def _new_rows(files: Sequence[str], form: Form) -> Rows:
    """Return a row for each file, named as in the sample: with or without suffix."""
    bare = bool(form.ids) and not any(PurePath(name).suffix for name in form.ids)
    names = [PurePath(file).stem if bare else PurePath(file).name for file in files]
    first: dict[str, str] = {}
    for name, file in zip(names, files, strict=True):
        if name in first:
            both = f"{shown(first[name])} and {shown(file)}"
            raise InputError(f"{both} have one name, but a submission needs different ones: rename one")
        first[name] = file
    return Rows(tuple(names), tuple(range(len(files))), in_sample=False)
