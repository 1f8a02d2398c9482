"""Datasets: labelled images and images to predict, all validated."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_paddy.core.arguments.checked import checked
from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.alike import split_alike
from tune_paddy.data.audit import AuditReport, ImageFacts, hash_pixels, inspect_images, with_range
from tune_paddy.data.channels import describe_unused
from tune_paddy.data.duplicates import group_copies
from tune_paddy.data.images import ImageError
from tune_paddy.data.labels.texts import shown_label
from tune_paddy.data.layouts.description import Description, LeftOut
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.layouts.listing import Listing
from tune_paddy.data.options import EACH, EXACT, NEAR, OFF, ReadOptions, format_range, options_among
from tune_paddy.data.pixel_range import PixelRange, ValueFacts, describe_range, find_range
from tune_paddy.data.sides.parts import GivenSplit
from tune_paddy.data.sides.sides import read_sides
from tune_paddy.data.submission.form import SubmissionFormat
from tune_paddy.data.system.text import SHOWN, counted, listed, shown


@dataclass(frozen=True, eq=False)
class Dataset:
    """Validated images of a dataset with their metadata.

    Attributes:
        root: Absolute path of the folder.
        layout: Display name of the layout.
        labelled: Frame with the columns id (unique), path (absolute), label and further ones of a table. If
            an image has any number of labels, they are sorted and joined by `|`; none is the empty text.
        test: Frame with the columns id (unique) and path (absolute), in the submission's order; may be empty.
        classes: Names of the classes in the order of the task, at least two.
        fingerprint: Hash of all ids, labels and file contents, 16 hex digits; independent of order and
            location.
        sums: SHA-256 of each file, hexadecimal, [labelled, then test].
        submission: Columns of a submission, and their content.
        groups: int64 [labelled], equal for images that stay on one side of a split: copies of each other, and
            images with an equal value of the column `group`.
        given: Split that the column `split_column` defines; None: there is none.
        report: Findings of the audit.
        description: Layout, source of the labels, classes with their sizes, and files that were left out.
        options: How it was read, with the kind of copies and the range that were used.
        sample: Path of the sample submission, or None.
        task: What the labels are.
    """

    root: Path
    layout: str
    labelled: pd.DataFrame
    test: pd.DataFrame
    classes: tuple[str, ...]
    fingerprint: str
    sums: tuple[str, ...]
    submission: SubmissionFormat
    groups: NDArray[np.int64]
    given: GivenSplit | None
    report: AuditReport
    description: Description
    options: ReadOptions
    sample: Path | None
    task: Task

    @classmethod
    @checked
    def open(
        cls,
        path: str | Path,
        *,
        skip_corrupt: bool = False,
        skip_conflicts: bool = False,
        jobs: int | None = None,
        labels: str | Path | None = None,
        images: str | Path | None = None,
        id_column: str | None = None,
        label_column: str | None = None,
        task: str | None = None,
        ordinal: bool = False,
        submission_form: str | None = None,
        positive: str | None = None,
        group: str | None = None,
        split_column: str | None = None,
        relabel: str | Path | None = None,
        copies: str | None = None,
        pixel_range: str | Sequence[float] | None = None,
    ) -> "Dataset":
        """Detect the layout of a dataset, list its images and check each of them.

        Images with identical pixels must have the same label. Similar images may have different labels;
        the report lists them.

        Args:
            path: Folder, or table of labels.
            skip_corrupt: Whether to skip images that cannot be decoded, except those in a sample
                submission.
            skip_conflicts: Whether to skip images that have several labels.
            jobs: Number of images decoded at once; None: the number of CPUs.
            labels: Table that holds the labels; `folders`: the names of the folders are the labels; None:
                detected.
            images: Folder of the labelled images; without a table each folder in it is a class; None:
                detected.
            id_column: Column of the table that names the images; None: detected.
            label_column: Column of the table that holds the labels, or columns of 0 and 1, separated by
                commas; None: detected.
            task: What the labels are. `classes`: one class an image; `ordered`: one of classes that are
                numbers, in their order; `multilabel`: any number of labels; None: detected.
            ordinal: Whether the task is `ordered`.
            submission_form: Content of the submission. `labels`: names of classes; `probabilities`: a column
                per class, or a single one for two classes; None: as in the sample submission.
            positive: Class whose probability a submission with a single column of probabilities holds; None:
                the last of the two classes.
            group: Column of the table whose equal values, such as a patient or a plant, keep images on one
                side of the split; beside class folders, `labels` can name a table with this column and the
                images.
            split_column: Column of the table that defines the split: parts such as `train` and `valid`, 0 and
                1, or folds.
            relabel: Table of corrected labels, as `tune-paddy data doctor` writes it; None: there is none.
            copies: What counts as a copy, kept on one side of the split. `exact`: images with equal values;
                `near`: also re-encoded, resized and brightened ones; `off`: nothing; None: `near`.
            pixel_range: Values that are black and white in images of more than 8 bits: (low, high), or the
                text `LOW,HIGH`; `each`: every image has its own; None: those that the dataset uses.

        Raises:
            InputError: The files are invalid; the message lists them and says what to do.
        """
        listing = list_dataset(Path(path), ReadOptions(**options_among(locals())))
        sound = _check_conflicts(_check_images(listing, jobs), skip_conflicts, jobs)
        classes = _check_classes(listing, sound.labelled)
        strata = listing.task.strata(listing.task.encode(sound.labelled["label"].tolist(), classes))
        sound = _choose_copies(sound, strata, listing.options.copies or NEAR, jobs)
        return _assemble(listing, sound, classes)

    @property
    def pixel_range(self) -> PixelRange | None:
        """Range of deep images, see `data.pixel_range`; None: there are none, or each has its own."""
        return self.options.range

    def __repr__(self) -> str:
        """Return the description."""
        return "\n".join((f"Dataset {shown(self.root)}", *self.description.lines()))


def _used(listing: Listing, pixel_range: PixelRange | None) -> ReadOptions:
    """Return the options as they were used: with what was chosen, without a range that no image has."""
    options = listing.options
    each = EACH if options.pixel_range == EACH else None
    known = each if pixel_range is None else format_range(pixel_range)
    return replace(options, copies=options.copies or NEAR, pixel_range=known, task=listing.task.name)


@dataclass(frozen=True, eq=False)
class _Checked:
    """Remaining images, with their facts and groups [labelled, then test]."""

    labelled: pd.DataFrame
    test: pd.DataFrame
    facts: list[ImageFacts]
    groups: NDArray[np.int64]
    report: AuditReport
    pixel_range: PixelRange | None

    def without(self, dropped: NDArray[np.bool_], report: AuditReport) -> "_Checked":
        """Drop labelled images by a mask [labelled]."""
        keep = np.concatenate([~dropped, np.ones(len(self.test), np.bool_)])
        facts = [fact for fact, kept in zip(self.facts, keep, strict=True) if kept]
        labelled = self.labelled[~dropped].reset_index(drop=True)
        return replace(self, labelled=labelled, facts=facts, groups=self.groups[keep], report=report)


def _assemble(listing: Listing, checked: _Checked, classes: tuple[str, ...]) -> Dataset:
    """Return the dataset of the remaining images, with the sides that they are on in every split."""
    copies_of = np.unique(checked.groups[: len(checked.labelled)], return_inverse=True)[1]
    sides = read_sides(listing, checked.labelled, copies_of)
    return Dataset(
        root=listing.root,
        layout=listing.layout,
        labelled=checked.labelled,
        test=checked.test,
        classes=classes,
        fingerprint=_fingerprint(checked),
        sums=tuple(fact.sha256 for fact in checked.facts),
        submission=listing.form,
        groups=sides.groups,
        given=sides.given,
        report=_report(checked),
        description=replace(
            listing.describe(checked.labelled, checked.test, _skipped(listing, checked)),
            groups=sides.groups_text,
            split=sides.split_text,
        ),
        options=_used(listing, checked.pixel_range),
        sample=listing.sample,
        task=listing.task,
    )


def _check_images(listing: Listing, jobs: int | None) -> _Checked:
    paths = [*listing.labelled["path"], *listing.test["path"]]
    found = inspect_images(paths, jobs=jobs)
    corrupt = tuple(finding for finding in found if isinstance(finding, ImageError))
    _refuse_corrupt(listing, corrupt, listing.options.skip_corrupt)
    sound = np.array([isinstance(finding, ImageFacts) for finding in found], np.bool_)
    n = len(listing.labelled)
    sized = [finding for finding in found if isinstance(finding, ImageFacts)]
    deep = [fact.deep for fact in sized if fact.deep is not None]
    pixel_range = _choose_range(listing.options, deep)
    facts = with_range(sized, pixel_range)
    notes = (*listing.notes, *describe_range(deep, pixel_range), *_depth_notes(listing.options, sized))
    return _Checked(
        labelled=listing.labelled[sound[:n]].reset_index(drop=True),
        test=listing.test[sound[n:]].reset_index(drop=True),
        facts=facts,
        groups=_group(facts),
        report=AuditReport(notes=notes, corrupt=corrupt),
        pixel_range=pixel_range,
    )


def _depth_notes(options: ReadOptions, facts: Sequence[ImageFacts]) -> Iterator[str]:
    """Yield what is said about a range without use, and about parts of files that are not used."""
    if options.pixel_range is not None and not any(fact.deep for fact in facts):
        yield "pixel_range: not used, since no image has grey values of more than 8 bits"
    yield from describe_unused(fact.unused for fact in facts)


def _choose_range(options: ReadOptions, deep: Sequence[ValueFacts]) -> PixelRange | None:
    if not deep or options.pixel_range == EACH:
        return None
    return options.range or find_range(deep)


def _refuse_corrupt(listing: Listing, corrupt: Sequence[ImageError], skip: bool) -> None:
    if skip and listing.sample is not None:
        asked_for = set(listing.test["path"])
        corrupt = [error for error in corrupt if error.path in asked_for]
        way_out = f"{shown(listing.sample)} lists them: copy them again, or remove them and their lines"
    elif skip:
        return
    else:
        way_out = "copy them again, or skip them with `skip_corrupt`"
    if corrupt:
        raise InputError(
            f"{shown(listing.root)}: {counted(len(corrupt), 'image')} cannot be decoded; {way_out}"
            f"{listed(map(str, corrupt), len(corrupt))}",
            options=("skip_corrupt",),
        )


def _group(facts: Sequence[ImageFacts]) -> NDArray[np.int64]:
    if not facts:
        return np.empty(0, np.int64)
    hashes = np.array([fact.phash for fact in facts], np.uint64)
    return group_copies(hashes, np.stack([fact.thumbnail for fact in facts]))


def _check_conflicts(checked: _Checked, skip: bool, jobs: int | None) -> _Checked:
    """Refuse or skip labelled images with identical pixels and different labels."""
    frame = checked.labelled.assign(group=checked.groups[: len(checked.labelled)])
    suspects = frame[frame.groupby("group")["label"].transform("nunique") > 1]
    if suspects.empty:
        return checked
    suspects = suspects.assign(pixels=hash_pixels(suspects["path"].tolist(), jobs=jobs))
    conflicts = suspects[suspects.groupby("pixels")["label"].transform("nunique") > 1]
    if len(conflicts) and not skip:
        raise InputError(_conflict_message(conflicts), options=("skip_conflicts",))
    report = replace(checked.report, conflicts=tuple(conflicts["id"]))
    return checked.without(frame.index.isin(conflicts.index), report)


def _conflict_message(conflicts: pd.DataFrame) -> str:
    lines = [
        " = ".join(
            f"{shown(path)} ({shown_label(label)})"
            for path, label in zip(copies["path"][:SHOWN], copies["label"], strict=False)
        )
        for _, copies in conflicts.groupby("pixels", sort=False)
    ]
    return (
        f"{counted(len(lines), 'image')} with several labels; correct the labels, or skip every copy "
        f"with `skip_conflicts`{listed(lines, len(lines))}"
    )


def _choose_copies(checked: _Checked, strata: NDArray[np.int64], copies: str, jobs: int | None) -> _Checked:
    """Decide which similar images count as copies; `strata` is that of each labelled image, [labelled]."""
    if copies == OFF or not checked.facts:
        return replace(checked, groups=np.arange(len(checked.facts)))
    if copies == EXACT:
        return replace(checked, groups=_equal_groups(checked, jobs))
    classes = np.concatenate([strata, np.full(len(checked.test), -1)])
    groups, alike = split_alike(checked.groups, np.stack([fact.thumbnail for fact in checked.facts]), classes)
    note = (
        f"{counted(alike, 'image')} look alike as a whole and do not count as copies for that; keep frames "
        "of one video together with `group`"
    )
    notes = (*checked.report.notes, *([note] if alike else []))
    return replace(checked, groups=groups, report=replace(checked.report, notes=notes))


def _equal_groups(checked: _Checked, jobs: int | None) -> NDArray[np.int64]:
    """Return the groups of images with equal values; only similar images are read again."""
    paths = np.array([*checked.labelled["path"], *checked.test["path"]], np.str_)
    names = np.arange(len(paths)).astype(np.str_).astype(object)
    similar = np.flatnonzero(np.bincount(checked.groups)[checked.groups] > 1)
    names[similar] = [f"={digest}" for digest in hash_pixels(paths[similar].tolist(), jobs=jobs)]
    return np.unique(names.astype(np.str_), return_inverse=True)[1].astype(np.int64)


def _check_classes(listing: Listing, labelled: pd.DataFrame) -> tuple[str, ...]:
    task = listing.task
    before, classes = task.classes_of(listing.labelled["label"]), task.classes_of(labelled["label"])
    lost = sorted(set(before).difference(classes))
    if lost:
        raise InputError(
            f"{shown(listing.root)}: no image of class {shown(lost[0])} can be used: replace its images, "
            "or remove the class"
        )
    if len(classes) < 2:  # noqa: PLR2004 one class leaves nothing to classify
        to_predict = f" (to predict: {listing.test_from})" if len(listing.test) else ""
        raise InputError(
            f"{shown(listing.root)} was read as {listing.layout}: all images have the label "
            f"{shown(''.join(classes))}{to_predict}; at least two classes are needed: sort the images into a "
            "folder per class, add a table of images and labels, or give `images=FOLDER` to read every "
            "folder in it as a class, whatever its name",
            options=("images",),
        )
    return classes


def _skipped(listing: Listing, checked: _Checked) -> tuple[LeftOut, ...]:
    """Return the images that the check left out."""
    count = len(listing.labelled) + len(listing.test) - len(checked.labelled) - len(checked.test)
    names = [*(error.path for error in checked.report.corrupt), *checked.report.conflicts]
    return (LeftOut("image that is skipped, as reported below", count, tuple(names[:3])),) if count else ()


def _report(checked: _Checked) -> AuditReport:
    """Add the copies to the report."""
    n = len(checked.labelled)
    labelled = checked.labelled.assign(group=checked.groups[:n])
    copies = labelled[labelled["group"].duplicated(keep=False)]
    by_group = [rows for _, rows in copies.groupby("group", sort=False)]
    first = labelled.drop_duplicates("group").set_index("group")["id"]
    test = zip(checked.test["id"], checked.groups[n:].tolist(), strict=True)
    return replace(
        checked.report,
        groups=tuple(tuple(rows["id"]) for rows in by_group),
        mixed=tuple(tuple(rows["id"]) for rows in by_group if len(set(rows["label"])) > 1),
        test_copies=tuple((name, str(first[group])) for name, group in test if group in first.index),
    )


def _fingerprint(checked: _Checked) -> str:
    sums = [fact.sha256 for fact in checked.facts]
    n = len(checked.labelled)
    labelled = sorted(zip(checked.labelled["id"], checked.labelled["label"], sums[:n], strict=True))
    test = sorted(zip(checked.test["id"], sums[n:], strict=True))
    return hashlib.sha256(json.dumps([labelled, test]).encode()).hexdigest()[:16]
