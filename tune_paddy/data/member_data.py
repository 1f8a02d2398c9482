"""The three parts of a dataset for a member: images to train on, to select with and to predict."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tune_paddy.core.tasks.names import CLASSES
from tune_paddy.core.tasks.task import Task
from tune_paddy.core.teaching.targets import Targets, hard_labels, shares_of
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.image_cache.cache import ImageSet
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.data.split import SelectSplit


def _no_targets() -> Targets:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Part:
    """Images in a fixed order.

    Attributes:
        ids: Image ids, str [images].
        paths: Absolute path of each image file.
        labels: int64 [images], indices into the classes, or 0 and 1, [images, classes]; empty if unknown.
        groups: int64 [images], equal for images that a member sees together or not at all; empty: every image
            is alone.
        targets: Share of each class in each image, float32 [images, classes], to train on instead of the
            labels; empty: the labels.
    """

    ids: NDArray[np.str_]
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    targets: Targets = field(default_factory=_no_targets)

    def __len__(self) -> int:
        return len(self.paths)

    def __add__(self, other: "Part") -> "Part":
        """Return the images of both parts, these first.

        If one part has groups or targets, images of the other are alone, or have their labels as targets.
        """
        return Part(
            ids=np.concatenate([self.ids, other.ids]),
            paths=self.paths + other.paths,
            labels=np.concatenate([self.labels, other.labels]),
            groups=_joined_groups(self, other),
            targets=_joined_targets(self, other),
        )

    def take(self, rows: NDArray[np.bool_]) -> "Part":
        """Return the images of a mask, [images], in the same order."""
        return Part(
            ids=self.ids[rows],
            paths=tuple(path for path, taken in zip(self.paths, rows, strict=True) if taken),
            labels=self.labels[rows],
            groups=self.groups[rows] if len(self.groups) else self.groups,
            targets=self.targets[rows] if len(self.targets) else self.targets,
        )


def _joined_groups(first: Part, second: Part) -> NDArray[np.int64]:
    known = np.concatenate([first.groups, second.groups])
    if len(known) in (0, len(first) + len(second)):
        return known
    fresh = known.max() + 1 + np.arange(len(first) + len(second) - len(known))
    return np.concatenate([known, fresh] if len(first.groups) else [fresh, known])


def _joined_targets(first: Part, second: Part) -> Targets:
    n_classes = max(first.targets.shape[1], second.targets.shape[1])
    if not n_classes:
        return first.targets
    return np.concatenate(
        [part.targets if len(part.targets) else shares_of(part.labels, n_classes) for part in (first, second)]
    )


@dataclass(frozen=True)
class Parts:
    """Data for the training of one member.

    Attributes:
        classes: Class names, in the order of the predictions' columns.
        split: Fingerprint of the select split.
        train: Images that a member may train on; with folds, those that are in no fold, see `fold`.
        select: Select split; with folds, all images of the folds.
        test: Test set in the submission's order, without labels; may be empty.
        folds: int64 [select images], fold of each image, from 0; empty: one split for all models.
        seen: Whether members also train on the select split, so that scores on it are meaningless.
        images: All images of the dataset, for the image cache; None: no cache.
        pixel_range: Range of deep images; None: 8 bits, or each image by itself.
        task: What the labels are.
        soft: Targets of the select images for the model of each fold, float32 [folds, select images,
            classes], from a teacher that has not seen the fold; empty: their labels.
        pseudo: Targets of the test set in the same way, to train on it, too, float32 [folds, test images,
            classes]; empty: it is only predicted.
        others: Labelled images of the other folds, which the model of a fold predicts at its end, to teach.
    """

    classes: tuple[str, ...]
    split: str
    train: Part
    select: Part
    test: Part
    folds: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    seen: bool = False
    images: ImageSet | None = None
    pixel_range: PixelRange | None = None
    task: Task = field(default_factory=lambda: Task.of(CLASSES))
    soft: Targets = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))
    pseudo: Targets = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))
    others: Part | None = None

    @property
    def n_folds(self) -> int:
        """Number of folds; 0 without folds."""
        return int(self.folds.max(initial=-1)) + 1

    def fold(self, number: int) -> "Parts":
        """Return the data for the model of one fold: that fold to select with, all others to train on."""
        inside = self.folds == number
        others = self.select.take(~inside)
        taught = replace(others, targets=self.soft[number][~inside]) if len(self.soft) else others
        own = replace(
            self,
            train=taught + self.train,
            select=self.select.take(inside),
            folds=self.folds[:0],
            soft=self.soft[:0],
            pseudo=self.pseudo[:0],
            others=others,
        )
        return own.with_pseudo_labels(self.pseudo[number]) if len(self.pseudo) else own

    def at(self, paths: Mapping[str, str]) -> "Parts":
        """Return the same images at other paths: path → new path."""

        def moved(part: Part) -> Part:
            return replace(part, paths=tuple(paths[path] for path in part.paths))

        images = self.images
        return replace(
            self,
            train=moved(self.train),
            select=moved(self.select),
            test=moved(self.test),
            others=None if self.others is None else moved(self.others),
            images=images and replace(images, paths=tuple(paths[path] for path in images.paths)),
        )

    def with_pseudo_labels(self, targets: Targets) -> "Parts":
        """Return parts that train on the test set, too.

        Args:
            targets: Share of each class in each image of the test set, float32 [test images, classes].
        """
        labels = hard_labels(targets, self.task)
        return replace(self, train=self.train + replace(self.test, labels=labels, targets=targets))


def make_parts(dataset: Dataset, split: SelectSplit) -> Parts:
    """Divide a dataset by its select split or its folds."""
    by_id = _grouped(dataset).set_index("id", drop=False)
    return Parts(
        classes=dataset.classes,
        split=split.fingerprint,
        train=_labelled(by_id.loc[list(split.train_ids)], dataset),
        select=_labelled(by_id.loc[list(split.select_ids)], dataset),
        test=_part(dataset.test, np.empty(0, np.int64)),
        folds=np.array(split.folds, np.int64),
        images=image_set(dataset),
        pixel_range=dataset.pixel_range,
        task=dataset.task,
    )


def make_refit_parts(dataset: Dataset, split: SelectSplit) -> Parts:
    """Return parts that train on all labelled images, the select split included.

    The fingerprint differs from the split's, so that predictions of images that a member has trained on are
    never pooled with honest ones.
    """
    parts = make_parts(dataset, split)
    fingerprint = hashlib.sha256(f"all images, {split.fingerprint}".encode()).hexdigest()[:16]
    every = _labelled(_grouped(dataset).sort_values("id"), dataset)
    return replace(parts, split=fingerprint, train=every, seen=True)


def image_set(dataset: Dataset) -> ImageSet:
    """Return all images of a dataset by id, labelled ones first; the order is independent of its location."""
    sums = np.split(np.array(dataset.sums, np.str_), [len(dataset.labelled)])
    frames = [
        frame[["id", "path"]].assign(sum=own).sort_values("id")
        for frame, own in zip((dataset.labelled, dataset.test), sums, strict=True)
    ]
    every = pd.concat(frames)
    return ImageSet(dataset.fingerprint, tuple(every["path"]), dataset.pixel_range, tuple(every["sum"]))


def _grouped(dataset: Dataset) -> pd.DataFrame:
    """Return the labelled images, with their groups if a person named a column of groups."""
    if dataset.options.group is None:
        return dataset.labelled[["id", "path", "label"]]
    return dataset.labelled[["id", "path", "label"]].assign(group=dataset.groups)


def _labelled(frame: pd.DataFrame, dataset: Dataset) -> Part:
    return _part(frame, dataset.task.encode(frame["label"].tolist(), dataset.classes))


def _part(frame: pd.DataFrame, labels: NDArray[np.int64]) -> Part:
    return Part(
        ids=np.array(frame["id"].tolist(), dtype=np.str_),
        paths=tuple(frame["path"]),
        labels=labels,
        groups=np.array(frame.get("group", ()), dtype=np.int64),
    )
