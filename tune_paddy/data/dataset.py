"""Datasets: labelled images and images to predict, all validated."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_paddy.core.arguments.checked import checked
from tune_paddy.core.errors import InputError
from tune_paddy.data.audit import AuditReport, ImageFacts, hash_pixels, inspect_images
from tune_paddy.data.duplicates import group_copies
from tune_paddy.data.images import ImageError
from tune_paddy.data.layouts.description import Description, LeftOut
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.layouts.listing import Listing
from tune_paddy.data.options import ReadOptions
from tune_paddy.data.submission import SubmissionFormat
from tune_paddy.data.system.text import SHOWN, counted, listed, shown

_SCENE = 8
"""Smallest class whose images can be taken for photographs of one scene."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Validated images of a dataset with their metadata.

    Attributes:
        root: Absolute path of the folder.
        layout: Display name of the layout.
        labelled: Frame with the columns id (unique), path (absolute), label and further ones of a table.
        test: Frame with the columns id (unique) and path (absolute), in the submission's order; may be empty.
        classes: Sorted labels, at least two.
        fingerprint: Hash of all ids, labels and file contents, 16 hex digits; independent of order and
            location.
        sums: SHA-256 of each file, hexadecimal, [labelled, then test].
        submission: Column names of a submission.
        groups: int64 [labelled], equal for copies and near-copies.
        report: Findings of the audit.
        description: Layout, source of the labels, classes with their sizes, and files that were left out.
        options: What a person said about the layout.
        sample: Path of the sample submission, or None.
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
    report: AuditReport
    description: Description
    options: ReadOptions
    sample: Path | None

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
        copies: str | None = None,
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
            label_column: Column of the table that holds the labels; None: detected.
            copies: Copies that stay on one side of the split: `near`, `exact` or `off`; None: `near`.

        Raises:
            InputError: The files are invalid; the message lists them and says what to do.
        """
        options = ReadOptions(
            labels=None if labels is None else str(labels),
            images=None if images is None else str(images),
            id_column=id_column,
            label_column=label_column,
            copies=copies,
        )
        listing = list_dataset(Path(path), options)
        checked = _check_images(listing, skip_corrupt, jobs)
        checked = _regroup(_check_conflicts(checked, skip_conflicts, jobs), options.copies)
        return cls(
            root=listing.root,
            layout=listing.layout,
            labelled=checked.labelled,
            test=checked.test,
            classes=_check_classes(listing, checked.labelled),
            fingerprint=_fingerprint(checked),
            sums=tuple(fact.sha256 for fact in checked.facts),
            submission=listing.form,
            groups=np.unique(checked.groups[: len(checked.labelled)], return_inverse=True)[1],
            report=_report(checked),
            description=listing.describe(checked.labelled, checked.test, _skipped(listing, checked)),
            options=listing.options,
            sample=listing.sample,
        )

    def __repr__(self) -> str:
        """Return the description."""
        return "\n".join((f"Dataset {shown(self.root)}", *self.description.lines()))


@dataclass(frozen=True, eq=False)
class _Checked:
    """Remaining images, with their facts and groups [labelled, then test]."""

    labelled: pd.DataFrame
    test: pd.DataFrame
    facts: list[ImageFacts]
    groups: NDArray[np.int64]
    report: AuditReport

    def without(self, dropped: NDArray[np.bool_], report: AuditReport) -> "_Checked":
        """Drop labelled images by a mask [labelled]."""
        keep = np.concatenate([~dropped, np.ones(len(self.test), np.bool_)])
        facts = [fact for fact, kept in zip(self.facts, keep, strict=True) if kept]
        labelled = self.labelled[~dropped].reset_index(drop=True)
        return _Checked(labelled, self.test, facts, self.groups[keep], report)


def _check_images(listing: Listing, skip_corrupt: bool, jobs: int | None) -> _Checked:
    paths = [*listing.labelled["path"], *listing.test["path"]]
    found = inspect_images(paths, jobs=jobs)
    corrupt = tuple(finding for finding in found if isinstance(finding, ImageError))
    _refuse_corrupt(listing, corrupt, skip_corrupt)
    sound = np.array([isinstance(finding, ImageFacts) for finding in found], np.bool_)
    n = len(listing.labelled)
    facts = [finding for finding in found if isinstance(finding, ImageFacts)]
    return _Checked(
        labelled=listing.labelled[sound[:n]].reset_index(drop=True),
        test=listing.test[sound[n:]].reset_index(drop=True),
        facts=facts,
        groups=_group(facts),
        report=AuditReport(notes=listing.notes, corrupt=corrupt),
    )


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


def _group(facts: Sequence[ImageFacts], *, same_scene: bool = False) -> NDArray[np.int64]:
    if not facts:
        return np.empty(0, np.int64)
    hashes = np.array([fact.phash for fact in facts], np.uint64)
    return group_copies(hashes, np.stack([fact.thumbnail for fact in facts]), same_scene=same_scene)


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


def _regroup(checked: _Checked, copies: str | None) -> _Checked:
    """Group the copies that a person asked for; adapt to images that show one scene.

    The conflicts of labels are checked before, whatever is asked for.
    """
    if copies == "off":
        return replace(checked, groups=np.arange(len(checked.facts)))
    if copies == "exact":
        sums = [fact.sha256 for fact in checked.facts]
        return replace(checked, groups=np.unique(sums, return_inverse=True)[1].astype(np.int64))
    if not _swallows_a_class(checked):
        return checked
    note = (
        "most images of a class are alike, as those of a fixed camera: their details decide which ones are "
        "copies; with copies=exact only identical files are"
    )
    report = replace(checked.report, notes=(*checked.report.notes, note))
    return replace(checked, groups=_group(checked.facts, same_scene=True), report=report)


def _swallows_a_class(checked: _Checked) -> bool:
    """Return whether one group of copies holds most images of a class that has more than a few."""
    frame = checked.labelled.assign(group=checked.groups[: len(checked.labelled)])
    largest = frame.groupby(["label", "group"]).size().groupby("label").max()
    sizes = frame.groupby("label").size()
    return bool(((sizes >= _SCENE) & (2 * largest > sizes)).any())


def _conflict_message(conflicts: pd.DataFrame) -> str:
    lines = [
        " = ".join(
            f"{shown(path)} ({shown(label)})"
            for path, label in zip(copies["path"][:SHOWN], copies["label"], strict=False)
        )
        for _, copies in conflicts.groupby("pixels", sort=False)
    ]
    return (
        f"{counted(len(lines), 'image')} with several labels; correct the labels, or skip every copy "
        f"with `skip_conflicts`{listed(lines, len(lines))}"
    )


def _check_classes(listing: Listing, labelled: pd.DataFrame) -> tuple[str, ...]:
    before, classes = set(listing.labelled["label"]), tuple(sorted(set(labelled["label"])))
    lost = sorted(before.difference(classes))
    if lost:
        raise InputError(
            f"{shown(listing.root)}: no image of class {shown(lost[0])} can be used: replace its images, "
            "or remove the class"
        )
    if len(classes) < 2:  # noqa: PLR2004 one class leaves nothing to classify
        raise InputError(
            f"{shown(listing.root)} was read as {listing.layout}: all images have the label "
            f"{shown(classes[0])}; at least two classes are needed"
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
