"""What labels are: how they are written, encoded and divided into strata. Nothing else asks for the kind.

A label is text in tables, files and messages, and a number in arrays. Of images with one class the array
holds the index of the class, int64 [images]; of images with several labels 0 and 1, int64 [images, labels].
Probabilities are [images, classes] with rows that sum to 1, or [images, labels], each on its own.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.arguments.suggestions import did_you_mean
from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.names import CLASSES, MULTILABEL, ORDERED, SEPARATOR, TASK_NAMES

ROW_SUM_TOLERANCE = 1e-3
"""Largest deviation of an image's probability sum from 1 (float32 softmax: about 1e-6)."""


class Task(ABC):
    """A kind of classification.

    Attributes:
        name: One of `TASK_NAMES`.
        description: What an image has, for a person.
        independent: Whether the probabilities of an image do not depend on each other.
        losses: Names of the losses that members can train with, the default first.
    """

    name: str
    description: str
    independent: bool = False
    losses: tuple[str, ...] = ("cross_entropy", "focal", "bce")

    @staticmethod
    def of(name: str | None) -> "Task":
        """Return the task of a name; None: `classes`.

        Raises:
            InputError: There is no such task.
        """
        task = _BY_NAME.get(name or CLASSES)
        if task is None:
            raise InputError(
                f"`task` is one of {', '.join(TASK_NAMES)}, not {name!r}"
                f"{did_you_mean(str(name), TASK_NAMES)}",
                options=("task",),
            )
        return task

    @staticmethod
    def of_labels(labels: Labels) -> "Task":
        """Return the task that an array of labels shows: `multilabel` for two axes, otherwise `classes`."""
        return _BY_NAME[MULTILABEL if labels.ndim > 1 else CLASSES]

    @abstractmethod
    def classes_of(self, labels: Iterable[str]) -> tuple[str, ...]:
        """Return the class names that occur in labels, in the order of every array's last axis.

        Raises:
            InputError: The labels are not those of this task.
        """

    @abstractmethod
    def encode(self, labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
        """Return labels as numbers; all of them occur in `classes`."""

    @abstractmethod
    def decode(self, labels: Labels, classes: Sequence[str]) -> list[str]:
        """Return the text of each image's label, the inverse of `encode`."""

    @abstractmethod
    def reindexed(self, labels: Labels, classes: Sequence[str], wanted: Sequence[str]) -> Labels:
        """Return labels with the indices of the same classes in another order."""

    @abstractmethod
    def strata(self, labels: Labels) -> NDArray[np.int64]:
        """Return the stratum of each image, int64 [images]: splits and folds hold the same share of each."""

    @abstractmethod
    def counts(self, labels: Labels, n_classes: int) -> NDArray[np.intp]:
        """Return the number of images of each class, int [classes]."""

    @abstractmethod
    def first_rows(self, labels: Labels) -> NDArray[np.intp]:
        """Return the row of the first image of each class that occurs."""

    @abstractmethod
    def memberships(self, labels: Labels) -> Iterator[NDArray[np.bool_]]:
        """Yield for each class that occurs whether an image has it, bool [images]."""

    @abstractmethod
    def labels_problem(self, labels: Labels, n_classes: int) -> str | None:
        """Return why numbers are no labels of this task, or None."""

    def questions(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Return the labels that an image may have or lack, each on its own; empty if it has one class."""
        return tuple(classes) if self.independent else ()

    def empty(self, n_classes: int) -> NDArray[np.int64]:
        """Return the labels of no image."""
        return np.empty((0, n_classes) if self.independent else 0, np.int64)

    def loss_of(self, name: str) -> str:
        """Return the loss that a member's `loss` means.

        Raises:
            InputError: The loss is one of another task.
        """
        if name == "auto":
            return self.losses[0]
        if name not in self.losses:
            raise InputError(
                f"loss {name} does not serve {self.description}; set it to {', '.join(self.losses)} or auto"
            )
        return name

    def probabilities_problem(self, probs: Floats) -> str | None:
        """Return why finite values ≥ 0, [images, classes], are no probabilities of this task, or None."""
        if self.independent:
            high = probs.max(initial=0)
            return f"a probability of {high:.4f}" if high > 1 + ROW_SUM_TOLERANCE else None
        off = np.abs(probs.sum(axis=1, dtype=np.float64) - 1)
        if off.size and off.max() > ROW_SUM_TOLERANCE:
            return f"a row sums to {1 + off.max():.4f} or {1 - off.max():.4f} where 1 is needed"
        return None

    def __repr__(self) -> str:
        return f"Task.of({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep one object per task in every process."""
        return Task.of, (self.name,)


class _Classes(Task):
    """Each image has one of several classes."""

    name = CLASSES
    description = "one class an image"

    def classes_of(self, labels: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(set(labels)))

    def encode(self, labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
        codes = {name: code for code, name in enumerate(classes)}
        return np.array([codes[label] for label in labels], np.int64)

    def decode(self, labels: Labels, classes: Sequence[str]) -> list[str]:
        return [classes[code] for code in labels.tolist()]

    def reindexed(self, labels: Labels, classes: Sequence[str], wanted: Sequence[str]) -> Labels:
        index = {name: code for code, name in enumerate(wanted)}
        codes: Labels = np.array([index[name] for name in classes], np.int64)[labels]
        return codes

    def strata(self, labels: Labels) -> NDArray[np.int64]:
        return labels.astype(np.int64)

    def counts(self, labels: Labels, n_classes: int) -> NDArray[np.intp]:
        return np.bincount(labels, minlength=n_classes)

    def first_rows(self, labels: Labels) -> NDArray[np.intp]:
        return np.unique(labels, return_index=True)[1]

    def memberships(self, labels: Labels) -> Iterator[NDArray[np.bool_]]:
        return (labels == label for label in np.unique(labels))

    def labels_problem(self, labels: Labels, n_classes: int) -> str | None:
        if labels.ndim != 1:
            return f"labels of shape {labels.shape} where one number an image is needed"
        if labels.size and (labels.min() < 0 or labels.max() >= n_classes):
            return f"labels range from {labels.min()} to {labels.max()}, but there are {n_classes} classes"
        return None


class _Ordered(_Classes):
    """Each image has one of several grades: classes that are numbers, ordered by their value."""

    name = ORDERED
    description = "one grade an image"

    def classes_of(self, labels: Iterable[str]) -> tuple[str, ...]:
        names = sorted(set(labels))
        words = [name for name in names if _number(name) is None]
        if words:
            raise InputError(
                f"ordered classes are numbers, such as grades 0 to 4; {words[0]!r} is none: number the "
                "classes, or leave `task` out",
                options=("task",),
            )
        values = [float(name) for name in names]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise InputError(f"several classes have the number {twice:g}: write each grade in one way")
        return tuple(sorted(names, key=float))


class _Multilabel(Task):
    """Each image has any number of labels."""

    name = MULTILABEL
    description = "any number of labels an image"
    independent = True
    losses = ("bce", "focal")

    def classes_of(self, labels: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted({name for label in labels for name in _names(label)}))

    def encode(self, labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
        codes = {name: code for code, name in enumerate(classes)}
        encoded = np.zeros((len(labels), len(classes)), np.int64)
        for row, label in enumerate(labels):
            encoded[row, [codes[name] for name in _names(label)]] = 1
        return encoded

    def decode(self, labels: Labels, classes: Sequence[str]) -> list[str]:
        return [SEPARATOR.join(classes[code] for code in np.flatnonzero(row).tolist()) for row in labels]

    def reindexed(self, labels: Labels, classes: Sequence[str], wanted: Sequence[str]) -> Labels:
        columns: Labels = labels[:, [list(classes).index(name) for name in wanted]]
        return columns

    def strata(self, labels: Labels) -> NDArray[np.int64]:
        """Return the index of each image's rarest label; the number of labels for an image without any.

        Rare labels are the ones that a random split distributes badly.
        Source: the order in which Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label
        data", ECML 2011, distribute the images.
        """
        n_classes = labels.shape[1]
        by_rarity = np.argsort(labels.sum(axis=0), kind="stable")
        strata: NDArray[np.int64] = by_rarity[labels[:, by_rarity].argmax(axis=1)].astype(np.int64)
        strata[~labels.any(axis=1)] = n_classes
        return strata

    def counts(self, labels: Labels, n_classes: int) -> NDArray[np.intp]:
        sums: NDArray[np.intp] = labels.reshape(-1, n_classes).sum(axis=0).astype(np.intp)
        return sums

    def first_rows(self, labels: Labels) -> NDArray[np.intp]:
        return np.unique(labels.argmax(axis=0)[labels.any(axis=0)])

    def memberships(self, labels: Labels) -> Iterator[NDArray[np.bool_]]:
        return (column == 1 for column in labels.T if column.any())

    def labels_problem(self, labels: Labels, n_classes: int) -> str | None:
        if labels.ndim != 2 or labels.shape[1] != n_classes:  # noqa: PLR2004 images and labels
            return f"labels of shape {labels.shape} where [images, {n_classes}] is needed"
        if labels.size and (labels.min() < 0 or labels.max() > 1):
            return f"labels range from {labels.min()} to {labels.max()} where 0 and 1 are needed"
        return None


_BY_NAME = {task.name: task for task in (_Classes(), _Ordered(), _Multilabel())}


def _number(name: str) -> float | None:
    """Return the value of a class name that is a finite number, otherwise None."""
    try:
        value = float(name)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _names(label: str) -> list[str]:
    """Return the names in the text of an image's labels."""
    return [name for name in label.split(SEPARATOR) if name]
