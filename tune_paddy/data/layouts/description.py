"""Description of a dataset for a person: its layout, labels, classes and images, and what was left out."""

from collections.abc import Iterator
from dataclasses import dataclass

from tune_paddy.core.tasks.names import CLASSES
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.labels.texts import NONE
from tune_paddy.data.system.text import counted, shown

_ALL_CLASSES = 12
"""Largest number of classes that are all listed."""

_ENDS = 3
"""Number of smallest and of largest classes that are listed if there are more."""

_EXAMPLES = 3


@dataclass(frozen=True)
class LeftOut:
    """Files of one kind that were not read.

    Attributes:
        what: Kind, a noun in the singular with its reason, such as `image that train.csv does not name`.
        count: Number of files; a folder that is not entered counts as one.
        examples: Paths of the first ones, relative to the dataset.
    """

    what: str
    count: int
    examples: tuple[str, ...]

    def line(self) -> str:
        """Return the kind with its number and examples."""
        names = ", ".join(map(shown, self.examples[:_EXAMPLES]))
        more = ", …" if self.count > len(self.examples[:_EXAMPLES]) else ""
        return f"{self.count:,} × {self.what}: {names}{more}"


@dataclass(frozen=True)
class Description:
    """What was detected in a dataset.

    Attributes:
        layout: Name and place of the layout.
        labels: Source of the labels.
        classes: (name, number of labelled images) of each class.
        n_labelled: Number of labelled images.
        n_test: Number of images to predict.
        test: Source of the images to predict; empty if there are none.
        submission: Columns of a submission and their content; empty if there is nothing to predict.
        task: Name of the task.
        n_without: Number of labelled images without a label, if an image may have any number.
        left_out: Files that were not read, by kind.
        groups: Column of the groups and their sizes; empty without it.
        split: Column that defines the split and its meaning; empty without it.
    """

    layout: str
    labels: str
    classes: tuple[tuple[str, int], ...]
    n_labelled: int
    n_test: int
    test: str
    left_out: tuple[LeftOut, ...]
    submission: str = ""
    task: str = CLASSES
    n_without: int = 0
    groups: str = ""
    split: str = ""

    def lines(self) -> list[str]:
        """Return the description, one line each: numbers, layout, labels, classes, sides, left out."""
        return [
            self.headline(),
            f"  layout: {self.layout}",
            f"  labels: {self.labels}",
            f"  classes: {self._classes()}",
            *([f"  task: {self.task}, {Task.of(self.task).description}"] if self.task != CLASSES else []),
            *([f"  groups: {self.groups}"] if self.groups else []),
            *([f"  split: {self.split}"] if self.split else []),
            *([f"  to predict: {self.test}"] if self.test else []),
            *([f"  submission: {self.submission}"] if self.submission else []),
            *(f"  left out: {kind.line()}" for kind in self.left_out),
        ]

    def headline(self) -> str:
        """Return the numbers of images and classes on one line."""
        classes = counted(len(self.classes), "class", "classes")
        return f"{counted(self.n_labelled, 'labelled image')} of {classes}, {self.n_test:,} to predict"

    def _classes(self) -> str:
        without = f"; {NONE} {self.n_without:,}" if self.n_without else ""
        return self._sizes_of_classes() + without

    def _sizes_of_classes(self) -> str:
        if len(self.classes) <= _ALL_CLASSES:
            return ", ".join(_sizes(self.classes))
        by_size = sorted(self.classes, key=lambda pair: pair[1])
        small, large = _sizes(by_size[:_ENDS]), _sizes(reversed(by_size[-_ENDS:]))
        return f"smallest {', '.join(small)}; largest {', '.join(large)}"


def _sizes(
    classes: "Iterator[tuple[str, int]] | list[tuple[str, int]] | tuple[tuple[str, int], ...]",
) -> list[str]:
    return [f"{shown(name)} {count:,}" for name, count in classes]
