"""A dataset: its labelled images, its test images, and proof that every one of them can be used."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.data.audit import ImageFacts, find_likeness, inspect_images
from tune_paddy.data.images import ImageError
from tune_paddy.data.layouts import Listing, find_listing
from tune_paddy.data.submission import SubmissionFormat

SHOWN = 10
"""Names that an error lists before it only counts."""


@dataclass(frozen=True)
class AuditReport:
    """What was found on opening a dataset.

    Attributes:
        groups: Ids of labelled images that are the same or nearly so; each group stays on one side.
        corrupt: Why each labelled image was left out that cannot be decoded.
        conflicts: Ids of labelled images left out because an equal one has another label.
    """

    groups: tuple[tuple[str, ...], ...] = ()
    corrupt: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Say it to a person, a line for each kind."""
        lines = []
        if self.groups:
            members = sum(map(len, self.groups))
            example = " = ".join(self.groups[0][:4])
            lines.append(
                f"{members} images are the same or nearly so, in {len(self.groups)} groups that stay on one "
                f"side of the split, such as {example}"
            )
        if self.corrupt:
            lines.append(f"left out, cannot be decoded: {_listed(self.corrupt)}")
        if self.conflicts:
            lines.append(f"left out, the same image has another label: {_listed(self.conflicts)}")
        return lines


@dataclass(frozen=True)
class Dataset:
    """Labelled images, and the images to predict.

    Attributes:
        root: Absolute folder.
        layout: `kaggle`, `folders` or `csv`.
        labelled: One row an image: `id`, `path` (absolute), `label`, `group` (equal for images that are
            the same or nearly so), then further columns of the CSV.
        test: `id`, `path`, in the submission's order.
        classes: Sorted.
        fingerprint: 16 hex digits of all ids, labels and file contents.
        submission: Columns of the submission.
        report: What was found on opening it.
    """

    root: Path
    layout: str
    labelled: pd.DataFrame
    test: pd.DataFrame
    classes: tuple[str, ...]
    fingerprint: str
    submission: SubmissionFormat
    report: AuditReport

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        skip_corrupt: bool = False,
        skip_conflicts: bool = False,
        jobs: int | None = None,
    ) -> "Dataset":
        """Find a dataset's layout, decode each of its images once, and check what can be checked.

        Args:
            path: A folder, or a CSV of paths and labels.
            skip_corrupt: Leave out labelled images that cannot be decoded.
            skip_conflicts: Leave out equal images that have different labels.
            jobs: Threads; None: one for each CPU.

        Raises:
            InputError: Nothing usable is there; the message names the file and what to do.
        """
        listing = find_listing(Path(path))
        _require_files(listing)
        facts = inspect_images([*listing.labelled["path"], *listing.test["path"]], jobs=jobs)
        n = len(listing.labelled)
        _require_test(facts[n:])
        listing, labelled_facts, corrupt = _without_corrupt(listing, facts[:n], skip_corrupt)
        groups, pairs = find_likeness(labelled_facts)
        keep, conflicts = _without_conflicts(listing.labelled, pairs, skip_conflicts)
        labelled = listing.labelled.assign(group=groups)[keep].reset_index(drop=True)
        kept_facts = [fact for fact, kept in zip(labelled_facts, keep, strict=True) if kept]
        test_facts = [fact for fact in facts[n:] if isinstance(fact, ImageFacts)]
        if labelled.empty:
            raise InputError(f"{listing.root}: no labelled image is left")
        return cls(
            root=listing.root,
            layout=listing.layout,
            labelled=labelled,
            test=listing.test,
            classes=tuple(sorted(labelled["label"].unique())),
            fingerprint=_fingerprint(labelled, listing.test, [*kept_facts, *test_facts]),
            submission=listing.submission,
            report=AuditReport(_group_names(labelled), corrupt, conflicts),
        )


def _require_files(listing: Listing) -> None:
    for kind, frame in (("labelled", listing.labelled), ("test", listing.test)):
        missing = [path for path in frame["path"] if not Path(path).is_file()]
        if missing:
            raise InputError(
                f"{listing.root}: {len(missing)} {kind} images have no file: {_listed(missing)}; "
                f"add the files, or remove the lines that name them"
            )
    if listing.labelled.empty:
        raise InputError(f"{listing.root}: there are no labelled images")


def _require_test(facts: Sequence[ImageFacts | ImageError]) -> None:
    broken = [str(fact) for fact in facts if isinstance(fact, ImageError)]
    if broken:
        raise InputError(
            f"{len(broken)} test images cannot be decoded: {_listed(broken)}; "
            f"a submission needs them all: fetch these files again"
        )


def _without_corrupt(
    listing: Listing, facts: Sequence[ImageFacts | ImageError], skip: bool
) -> tuple[Listing, list[ImageFacts], tuple[str, ...]]:
    broken = tuple(str(fact) for fact in facts if isinstance(fact, ImageError))
    if broken and not skip:
        raise InputError(
            f"{len(broken)} labelled images cannot be decoded: {_listed(broken)}; "
            f"fetch these files again, or leave them out with --skip-corrupt"
        )
    sound = [isinstance(fact, ImageFacts) for fact in facts]
    labelled = listing.labelled[sound].reset_index(drop=True)
    kept = [fact for fact in facts if isinstance(fact, ImageFacts)]
    return replace(listing, labelled=labelled), kept, broken


def _without_conflicts(
    labelled: pd.DataFrame, pairs: NDArray[np.int64], skip: bool
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Find equal images under two labels; with `skip`, none of them is kept."""
    labels, ids = labelled["label"].to_numpy(), labelled["id"].to_numpy()
    keep = np.ones(len(labelled), dtype=bool)
    clashing = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]] if len(pairs) else pairs
    if len(clashing) and not skip:
        told = [f"{ids[a]} ({labels[a]}) = {ids[b]} ({labels[b]})" for a, b in clashing]
        raise InputError(
            f"{len(told)} pairs of images are the same under two labels: {_listed(told)}; "
            f"correct the labels, or leave both out with --skip-conflicts"
        )
    keep[clashing.ravel()] = False
    return keep, tuple(str(name) for name in ids[~keep])


def _group_names(labelled: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    repeated = labelled[labelled["group"].duplicated(keep=False)]
    return tuple(tuple(ids) for _, ids in repeated.groupby("group", sort=True)["id"])


def _fingerprint(labelled: pd.DataFrame, test: pd.DataFrame, facts: Sequence[ImageFacts]) -> str:
    """Hash ids, labels and contents; where the folder lies does not matter."""
    digest = hashlib.sha256()
    ids = [*labelled["id"], *test["id"]]
    labels = [*labelled["label"], *([""] * len(test))]
    for name, label, fact in sorted(zip(ids, labels, (fact.sha256 for fact in facts), strict=True)):
        digest.update("\0".join((name, label, fact)).encode() + b"\n")
    return digest.hexdigest()[:16]


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    return "; ".join(map(str, names[:SHOWN])) + (f"; and {rest} more" if rest > 0 else "")
