"""Soft targets: labels as shares of the classes, mixed with a teacher's probabilities.

A teacher is an earlier search. Its opinion of an image is the unweighted mean of one view of its members:
weights that a selection fitted to the labels would bring them into the targets.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.scores.decided import decided, hits_of
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.task import Task
from tune_paddy.core.views import PLAIN, TTA

Targets = NDArray[np.float32]
"""Share of each class in each image, from 0 to 1, float32 [images, classes]."""


def taught_view(kinds: Collection[str]) -> str:
    """Return the view of a member that teaches: test-time augmentation, or plain without it.

    >>> taught_view(["flips", "plain", "tta"]), taught_view(["plain", "zoom"])
    ('tta', 'plain')
    """
    return TTA if TTA in kinds else PLAIN


def shares_of(labels: Labels, n_classes: int) -> Targets:
    """Return labels as targets: 1 for a class that an image has, 0 for the others.

    Args:
        labels: int [images], or 0 and 1 [images, classes].
        n_classes: Number of classes.
    """
    return hits_of(labels, n_classes).astype(np.float32)


def mixed_targets(labels: Labels, probs: Floats, mix: float) -> Targets:
    """Return (1 - mix) × labels + mix × probabilities.

    Args:
        labels: int [images], or 0 and 1 [images, classes].
        probs: The teacher's probabilities, [images, classes].
        mix: Share of the teacher, from 0 to 1.

    >>> mixed_targets(np.array([1]), np.array([[0.5, 0.5]]), 0.5).tolist()
    [[0.25, 0.75]]
    """
    targets = (1 - mix) * shares_of(labels, probs.shape[1]).astype(np.float64) + mix * probs
    return targets.astype(np.float32)


def hard_labels(targets: Targets, task: Task) -> NDArray[np.int64]:
    """Return the label that targets come closest to, as the task encodes it; the first class wins a tie.

    Args:
        targets: Share of each class in each image.
        task: What the labels are.
    """
    return decided(targets, task.empty(targets.shape[1])).astype(np.int64)


def better_half(losses: Sequence[float]) -> list[int]:
    """Return the rows of the smaller half of losses, rounded up; the earlier row wins a tie.

    >>> better_half([0.4, 2.6, 0.3])
    [2, 0]
    """
    by_loss = sorted(range(len(losses)), key=losses.__getitem__)
    return by_loss[: (len(losses) + 1) // 2]


def mean_opinion(
    opinions: Sequence[Floats], task: Task, heard: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return the unweighted mean of probabilities, [images, classes]; rounded ones again sum to 1.

    Args:
        opinions: Probabilities of each member, [images, classes], at least one.
        task: What the labels are.
        heard: Whether a member counts for an image, bool [members, images], at least one for each; None: all.
    """
    heard = np.ones((len(opinions), len(opinions[0])), np.bool_) if heard is None else heard
    mean = np.zeros(opinions[0].shape)
    for probs, rows in zip(opinions, heard, strict=True):  # a stack of all members would take their memory
        mean[rows] += probs[rows]
    mean /= heard.sum(axis=0)[:, None]
    return mean if task.independent else mean / mean.sum(axis=-1, keepdims=True)
