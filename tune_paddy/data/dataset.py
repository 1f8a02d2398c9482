"""Datasets: labelled images and images to predict, all validated."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.data.alike import split_alike
from tune_paddy.data.audit import AuditReport, ImageFacts, hash_pixels, inspect_images, with_range
from tune_paddy.data.duplicates import Copies, check_copies, group_copies
from tune_paddy.data.images import ImageError
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.layouts.listing import Listing
from tune_paddy.data.pixel_range import PixelRange, check_range, describe_range, find_range
from tune_paddy.data.submission import SubmissionFormat
from tune_paddy.data.system.text import SHOWN, counted, listed, shown


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
        groups: int64 [labelled], equal for images that count as copies of each other.
        report: Findings of the audit.
        pixel_range: Range of deep images, see `data.pixel_range`; None: there are none, or each by itself.
        copies: What counts as a copy: `exact`, `near` or `off`.
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
    pixel_range: PixelRange | None = None
    copies: Copies = "near"

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        skip_corrupt: bool = False,
        skip_conflicts: bool = False,
        pixel_range: Sequence[float] | Literal["auto"] | None = "auto",
        copies: Copies = "near",
        jobs: int | None = None,
    ) -> "Dataset":
        """Detect the layout of a dataset, list its images and check each of them.

        Images with identical pixels must have the same label. Similar images may have different labels;
        the report lists them.

        Args:
            path: Folder, or CSV of paths and labels.
            skip_corrupt: Whether to skip images that cannot be decoded, except those in a sample
                submission.
            skip_conflicts: Whether to skip images that have several labels.
            pixel_range: Values of deep images, of more than 8 bits, that become black and white: (low,
                high); `auto`: the range that the dataset uses; None: each image by itself.
            copies: What counts as a copy, to be kept on one side of a split. `near`: also re-encoded,
                resized and brightened versions; `exact`: images with equal values; `off`: nothing.
            jobs: Number of images decoded at once; None: the number of CPUs.

        Raises:
            InputError: The files are invalid; the message lists them and says what to do.
        """
        check_copies(copies)
        asked = pixel_range if pixel_range is None or pixel_range == "auto" else check_range(pixel_range)
        listing = list_dataset(Path(path))
        checked = _check_images(listing, skip_corrupt, asked, jobs)
        checked = _check_conflicts(checked, skip_conflicts, jobs)
        checked = _choose_copies(checked, copies, jobs)
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
            pixel_range=checked.pixel_range,
            copies=copies,
        )


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


def _check_images(
    listing: Listing, skip_corrupt: bool, asked: PixelRange | Literal["auto"] | None, jobs: int | None
) -> _Checked:
    paths = [*listing.labelled["path"], *listing.test["path"]]
    found = inspect_images(paths, jobs=jobs)
    corrupt = tuple(finding for finding in found if isinstance(finding, ImageError))
    _refuse_corrupt(listing, corrupt, skip_corrupt)
    sound = np.array([isinstance(finding, ImageFacts) for finding in found], np.bool_)
    n = len(listing.labelled)
    sized = [finding for finding in found if isinstance(finding, ImageFacts)]
    deep = [fact.deep for fact in sized if fact.deep is not None]
    pixel_range = find_range(deep) if asked == "auto" else asked if deep else None
    facts = with_range(sized, pixel_range)
    notes = (*listing.notes, *describe_range(deep, pixel_range))
    return _Checked(
        labelled=listing.labelled[sound[:n]].reset_index(drop=True),
        test=listing.test[sound[n:]].reset_index(drop=True),
        facts=facts,
        groups=_group(facts),
        report=AuditReport(notes=notes, corrupt=corrupt),
        pixel_range=pixel_range,
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
            f"{shown(path)} ({shown(label)})"
            for path, label in zip(copies["path"][:SHOWN], copies["label"], strict=False)
        )
        for _, copies in conflicts.groupby("pixels", sort=False)
    ]
    return (
        f"{counted(len(lines), 'image')} with several labels; correct the labels, or skip every copy "
        f"with `skip_conflicts`{listed(lines, len(lines))}"
    )


def _choose_copies(checked: _Checked, copies: Copies, jobs: int | None) -> _Checked:
    """Decide which similar images count as copies."""
    if copies == "off" or not checked.facts:
        return replace(checked, groups=np.arange(len(checked.facts)))
    if copies == "exact":
        return replace(checked, groups=_equal_groups(checked, jobs))
    codes = np.unique(checked.labelled["label"].to_numpy(np.str_), return_inverse=True)[1]
    classes = np.concatenate([codes, np.full(len(checked.test), -1)])
    groups, alike = split_alike(checked.groups, np.stack([fact.thumbnail for fact in checked.facts]), classes)
    note = f"{counted(alike, 'image')} look alike as a whole and do not count as copies for that"
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
