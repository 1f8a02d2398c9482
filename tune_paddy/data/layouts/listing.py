"""Result of a layout: its labelled images, its images to predict, and what was left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tune_paddy.core.tasks.names import CLASSES
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.layouts.description import Description, LeftOut
from tune_paddy.data.options import DETECTED, ReadOptions
from tune_paddy.data.sides.columns import SideColumns
from tune_paddy.data.submission.form import SubmissionFormat
from tune_paddy.data.tables.csv_table import CsvTable

_ONE_CLASS = Task.of(CLASSES)
_OURS = ("id", "path", "label")


@dataclass(frozen=True, eq=False)
class Listing:
    """Images of a dataset, not opened yet.

    Attributes:
        layout: Display name of the layout, such as `a folder per class`.
        place: Folders or files that the layout was found in, for a person.
        labels_from: Source of the labels, for a person.
        root: Folder of the dataset.
        labelled: Frame with the columns id, path (absolute), label, and the further ones of a table.
        test: Frame with the columns id and path (absolute); may be empty.
        test_from: Source of the images to predict, for a person; empty if there are none.
        form: Columns of a submission, and their content.
        task: What the labels are.
        sample: Path of the sample submission that determined `test`, or None.
        left_out: Files that were not read.
        notes: Messages about what was decided.
        options: What a person said about the layout.
        sides: Values of the columns that keep images together or define the split.
    """

    layout: str
    place: str
    labels_from: str
    root: Path
    labelled: pd.DataFrame
    test: pd.DataFrame
    test_from: str
    form: SubmissionFormat
    task: Task = field(default=_ONE_CLASS)
    sample: Path | None = None
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    options: ReadOptions = field(default=DETECTED)
    sides: SideColumns = field(default_factory=SideColumns)

    def describe(
        self,
        labelled: pd.DataFrame | None = None,
        test: pd.DataFrame | None = None,
        skipped: Sequence[LeftOut] = (),
    ) -> Description:
        """Describe the layout for a person.

        Args:
            labelled: Labelled images that remain after their check; None: all of them.
            test: Images to predict that remain; None: all of them.
            skipped: Images that the check left out.
        """
        labels = (self.labelled if labelled is None else labelled)["label"].tolist()
        tests = self.test if test is None else test
        return Description(
            layout=f"{self.layout}, images in {self.place}",
            labels=self.labels_from,
            task=self.task.name,
            classes=self._sizes(labels),
            n_labelled=len(labels),
            n_without=sum(not label for label in labels),
            n_test=len(tests),
            test=self.test_from,
            submission=self.form.describe() if len(tests) else "",
            left_out=(*skipped, *self.left_out),
        )

    def _sizes(self, labels: Sequence[str]) -> tuple[tuple[str, int], ...]:
        """Return each class with its number of images, in the order of the classes."""
        classes = self.task.classes_of(labels)
        counts = self.task.counts(self.task.encode(labels, classes), len(classes))
        return tuple(zip(classes, counts.tolist(), strict=True))


def make_labelled(
    ids: Sequence[str],
    paths: Sequence[str],
    labels: Sequence[str],
    table: CsvTable | None = None,
    used: Sequence[str] = (),
) -> pd.DataFrame:
    """Build the labelled frame; convert a table's further columns to numbers if all values are numeric.

    Further columns called id, path or label, and those without a name, are omitted.

    Args:
        ids: Ids, [images].
        paths: Absolute paths, [images].
        labels: Labels, [images].
        table: Table with further columns, one row per image; None: there are none.
        used: Columns of the table that hold ids or labels.
    """
    columns: dict[str, object] = {
        "id": pd.Series(ids, dtype=str),
        "path": pd.Series(paths, dtype=str),
        "label": pd.Series(labels, dtype=str),
    }
    if table is not None:
        omitted = {"", *used, *_OURS}
        further = [name for name in table.columns if name not in omitted]
        columns |= {name: _as_numbers(pd.Series(table.column(name), dtype=str)) for name in further}
    return pd.DataFrame(columns)


def make_test(ids: Sequence[str] = (), paths: Sequence[str] = ()) -> pd.DataFrame:
    """Build the test frame."""
    return pd.DataFrame({"id": list(ids), "path": list(paths)}, dtype=str)


def _as_numbers(values: "pd.Series[str]") -> "pd.Series[str] | pd.Series[float]":
    try:
        return pd.to_numeric(values)
    except (ValueError, TypeError):
        return values
