"""The predictions of one member, and the pool of aligned predictions that selection works on."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.tasks.names import CLASSES
from tune_paddy.core.tasks.task import Task
from tune_paddy.core.views import in_order

MOST_BYTES = 256 * 2**20
"""Largest size of the predictions of each fold's model in a record, in bytes; larger ones are left out."""


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of one member, per view, on the select split and on the test set.

    Attributes:
        classes: Class names, or names of the labels; the last axis of every array of probabilities.
        split: Fingerprint of the select split.
        select_ids: str [select images], image ids.
        select_labels: int64 [select images], indices into `classes`; with several labels an image int64 of
            0 and 1, [select images, classes].
        test_ids: str [test images], image ids, possibly empty.
        select: View name → float32 [select images, classes].
        test: View name → float32 [test images, classes]; the same views as `select`.
        task: What the labels are.
        by_fold: What each fold's model predicts, for students of the same fold; None without folds, and in
            records of older versions.
    """

    classes: tuple[str, ...]
    split: str
    select_ids: NDArray[np.str_]
    select_labels: NDArray[np.int64]
    test_ids: NDArray[np.str_]
    select: Mapping[str, NDArray[np.float32]]
    test: Mapping[str, NDArray[np.float32]]
    task: Task = field(default_factory=lambda: Task.of(CLASSES))
    by_fold: "FoldPredictions | None" = None


@dataclass(frozen=True)
class FoldPredictions:
    """Predictions by the model of each fold, for images of all folds; half precision suffices for targets.

    Attributes:
        select: float16 [folds, select images, classes], one plain pass.
        trained: Whether the model of a fold trained on an image, bool [folds, select images]; never on one of
            its own fold.
        test: float16 [folds, test images, classes], of the view that `taught_view` names; their mean is that
            view's `test`.
    """

    select: NDArray[np.float16]
    trained: NDArray[np.bool_]
    test: NDArray[np.float16]


@dataclass(frozen=True)
class View:
    """One kind of predictions of one member: a candidate for selection.

    Attributes:
        member: Name of the member, unique within the pool, such as `0007-convnext_tiny-224`.
        kind: Kind of the view, see `core.views`.
        run_id: MLflow run that holds the predictions.
        arch: timm name of the architecture.
        params: Parameters of the member, in their own types; a size is (height, width), in px.
        metrics: Last value of each metric of the member, such as `train_seconds_total`.
        search: Name of the member's search; empty if unknown.
    """

    member: str
    kind: str
    run_id: str
    arch: str
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    metrics: Mapping[str, float] = field(default_factory=dict, repr=False)
    search: str = ""

    @property
    def info(self) -> Mapping[str, Any]:
        """Parameters and metrics together; of two with the same name, such as `lr`, the parameter."""
        return {**self.metrics, **self.params}

    @property
    def name(self) -> str:
        """`member/kind`: unique in a pool, stable across runs; fixed ensemble weights match on it."""
        return f"{self.member}/{self.kind}"


@dataclass(frozen=True)
class Refusal:
    """Member excluded from the pool, with a readable reason."""

    member: str
    reason: str


@dataclass(frozen=True)
class Pool:
    """Aligned predictions of several members.

    Attributes:
        views: Candidates, ordered by member, then in the order of `core.views.KINDS`.
        classes: Class names.
        split: Fingerprint of the select split that all members share.
        labels: int64 [select images], indices into `classes`; with several labels an image int64 of 0 and 1,
            [select images, classes].
        select_ids: str [select images], image ids.
        test_ids: str [test images], image ids.
        select: float32 [views, select images, classes], probabilities.
        test: float32 [views, test images, classes], probabilities.
        refused: Excluded members, each with its reason.
        groups: int64 [select images], equal values for images that belong together, such as copies or those
            of one patient; None: every image is alone.
        task: What the labels are.
    """

    views: tuple[View, ...]
    classes: tuple[str, ...]
    split: str
    labels: NDArray[np.int64]
    select_ids: NDArray[np.str_]
    test_ids: NDArray[np.str_]
    select: NDArray[np.float32]
    test: NDArray[np.float32]
    refused: tuple[Refusal, ...] = ()
    groups: NDArray[np.int64] | None = None
    task: Task = field(default_factory=lambda: Task.of(CLASSES))

    def __repr__(self) -> str:
        """Return one line: the arrays are attributes."""
        members = len({view.run_id for view in self.views})
        refused = f", {len(self.refused)} refused" if self.refused else ""
        return (
            f"<Pool of {members} members with {len(self.views)} views{refused}: {len(self.classes)} classes, "
            f"{len(self.select_ids)} select images, {len(self.test_ids)} test images>"
        )


def check(predictions: Predictions) -> str | None:
    """Return why predictions are invalid, or None: checks labels, shapes, finite values and probabilities."""
    n_classes, task = len(predictions.classes), predictions.task
    if len(predictions.select_labels) != len(predictions.select_ids):
        return f"{len(predictions.select_labels)} labels for {len(predictions.select_ids)} images"
    problem = task.labels_problem(predictions.select_labels, n_classes)
    if problem:
        return problem
    if predictions.select.keys() != predictions.test.keys() or not predictions.select:
        return f"views differ: select has {sorted(predictions.select)}, test has {sorted(predictions.test)}"
    for part, ids, by_view in (
        ("select", predictions.select_ids, predictions.select),
        ("test", predictions.test_ids, predictions.test),
    ):
        if len(set(ids.tolist())) != len(ids):
            return f"the {part} set names an image twice"
        for view, probs in by_view.items():
            problem = _check_probabilities(probs, (len(ids), n_classes), task)
            if problem:
                return f"{part}/{view}: {problem}"
    return _check_folds(predictions)


def _check_folds(predictions: Predictions) -> str | None:
    by_fold, n_classes = predictions.by_fold, len(predictions.classes)
    if by_fold is None:
        return None
    n_select, n_test = len(predictions.select_ids), len(predictions.test_ids)
    if by_fold.trained.shape != (len(by_fold.test), n_select) or len(by_fold.select) != len(by_fold.test):
        return f"folds: shape {by_fold.trained.shape} of the images that each model trained on"
    for part, n_images, all_probs in (("select", n_select, by_fold.select), ("test", n_test, by_fold.test)):
        for fold, probs in enumerate(all_probs.astype(np.float32)):
            problem = _check_probabilities(probs, (n_images, n_classes), predictions.task)
            if problem:
                return f"{part} by fold {fold}: {problem}"
    return None


def _check_probabilities(probs: NDArray[np.float32], shape: tuple[int, int], task: Task) -> str | None:
    if probs.shape != shape:
        return f"shape {probs.shape} where {shape} is needed"
    if not np.isfinite(probs).all():
        return f"{int((~np.isfinite(probs)).any(axis=1).sum())} images have values that are not finite"
    if (probs < 0).any():
        return "negative probabilities"
    return task.probabilities_problem(probs)


def align(members: Sequence[tuple[View, Predictions]]) -> Pool:
    """Build a pool from members in any order; members that do not match are refused by name.

    The reference (task, split, classes, ids, and then labels) is the one that most members share; the
    earliest wins a tie. Images are aligned to the reference by id, and classes by name.

    Args:
        members: For each member, a view with its metadata (its `kind` is ignored) and its predictions.

    Returns:
        The pool; it has no views if every member was refused.
    """
    refused: list[Refusal] = []
    sound: list[tuple[View, Predictions]] = []
    for view, predictions in sorted(members, key=lambda pair: pair[0].member):
        problem = check(predictions)
        if problem:
            refused.append(Refusal(view.member, problem))
        else:
            sound.append((view, predictions))
    if not sound:
        empty = np.empty((0, 0, 0), np.float32)
        none = np.empty(0, np.str_)
        return Pool((), (), "", np.empty(0, np.int64), none, none, empty, empty, tuple(refused))
    reference = _most_shared([predictions for _, predictions in sound])
    views: list[View] = []
    select: list[NDArray[np.float32]] = []
    test: list[NDArray[np.float32]] = []
    for view, predictions in sound:
        problem = _misfit(predictions, reference)
        if problem:
            refused.append(Refusal(view.member, problem))
            continue
        columns = [predictions.classes.index(name) for name in reference.classes]
        rows_select = rows_of(predictions.select_ids, reference.select_ids)
        rows_test = rows_of(predictions.test_ids, reference.test_ids)
        for kind in in_order(predictions.select):
            views.append(replace(view, kind=kind))
            select.append(predictions.select[kind][rows_select][:, columns])
            test.append(predictions.test[kind][rows_test][:, columns])
    return Pool(
        views=tuple(views),
        classes=reference.classes,
        split=reference.split,
        labels=reference.select_labels,
        select_ids=reference.select_ids,
        test_ids=reference.test_ids,
        select=np.stack(select).astype(np.float32, copy=False),
        test=np.stack(test).astype(np.float32, copy=False),
        refused=tuple(sorted(refused, key=lambda refusal: refusal.member)),
        task=reference.task,
    )


def _identity(predictions: Predictions) -> tuple[str, str, int, int, int]:
    """Return a key of what members must share, in any order; short, since pools may have hundreds."""
    parts = (predictions.classes, predictions.select_ids.tolist(), predictions.test_ids.tolist())
    classes, select, test = (hash(frozenset(part)) for part in parts)
    return predictions.task.name, predictions.split, classes, select, test


def _labels(predictions: Predictions) -> int:
    """Return a hash of the image labels, independent of order."""
    labels = predictions.task.reindexed(
        predictions.select_labels, predictions.classes, sorted(predictions.classes)
    )
    rows = map(tuple, labels.reshape(len(labels), math.prod(labels.shape[1:])).tolist())
    return hash(frozenset(zip(predictions.select_ids.tolist(), rows, strict=True)))


def _most_shared(all_predictions: Sequence[Predictions]) -> Predictions:
    """Return a member of the largest consistent group: first by identity, then by labels."""
    alike = _largest_group(all_predictions, _identity)
    return _largest_group(alike, _labels)[0]


def _largest_group(
    members: Sequence[Predictions], key: Callable[[Predictions], Hashable]
) -> list[Predictions]:
    """Return the members that share the most common key; the first key wins a tie."""
    keys = [key(member) for member in members]
    commonest = Counter(keys).most_common(1)[0][0]
    return [member for member, own in zip(members, keys, strict=True) if own == commonest]


def _misfit(predictions: Predictions, reference: Predictions) -> str | None:
    """Return why predictions cannot be averaged with the reference, or None."""
    if predictions.task is not reference.task:
        return f"it predicts {predictions.task.description}, the pool {reference.task.description}"
    if predictions.split != reference.split:
        return f"select split {predictions.split} differs from the pool's {reference.split}"
    for what, mine, theirs in (
        ("classes", set(predictions.classes), set(reference.classes)),
        ("select images", set(predictions.select_ids.tolist()), set(reference.select_ids.tolist())),
        ("test images", set(predictions.test_ids.tolist()), set(reference.test_ids.tolist())),
    ):
        if mine != theirs:
            odd = sorted(mine ^ theirs)
            return f"{len(odd)} {what} differ from the pool's, the first is {odd[0]!r}"
    rows = rows_of(predictions.select_ids, reference.select_ids)
    labels = predictions.task.reindexed(
        predictions.select_labels[rows], predictions.classes, reference.classes
    )
    if not np.array_equal(labels, reference.select_labels):
        return "its labels of the select split differ from the pool's"
    return None


def rows_of(ids: NDArray[np.str_], wanted: NDArray[np.str_]) -> NDArray[np.intp]:
    """Return the row numbers in `ids` of the ids in `wanted`; all of them are there."""
    if np.array_equal(ids, wanted):
        return np.arange(len(ids))
    position = {name: row for row, name in enumerate(ids.tolist())}
    return np.array([position[name] for name in wanted.tolist()], dtype=np.intp)
