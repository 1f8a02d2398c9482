"""Unequal classes: weights of the classes in the loss, and epochs in which classes are equally frequent."""

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.tasks.task import Task

_BETA = 0.999
"""Share of the effective number of images that each further image leaves; at most 1000 images count."""


def class_weights(labels: NDArray[np.int64], method: str, n_classes: int) -> NDArray[np.float32] | None:
    """Return the weight of each class in the loss.

    With one class an image, a weight is the inverse of the number of the class's images, scaled so that the
    mean over the images is 1. With several labels it is the weight of a label's positive images: the number
    of images without the label, divided by the number with it. A class that no image or every image has gets
    the weight 1.

    `balanced` counts images, as scikit-learn's `compute_class_weight` does. `effective` takes the effective
    number of images, (1 - 0.999^n) / (1 - 0.999), which grows ever more slowly: weights of classes with
    thousands of images are equal. Source: Cui et al. 2019 (arXiv:1901.05555).

    Args:
        labels: Labels of the member's training images, as the task encodes them.
        method: `none`, `balanced` or `effective`.
        n_classes: Number of classes.

    Returns:
        float32 [classes]; None for `none`.
    """
    if method == "none":
        return None
    task = Task.of_labels(labels)
    counts = task.counts(labels, n_classes).astype(np.float64)
    others = len(labels) - counts if task.independent else np.ones(n_classes)
    usable = (counts > 0) & (others > 0)
    weights = np.ones(n_classes)
    weights[usable] = _number(others[usable], method) / _number(counts[usable], method)
    if not task.independent:
        weights[usable] *= counts.sum() / (weights @ counts)
    return weights.astype(np.float32)


def _number(counts: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    return counts if method == "balanced" else (1 - _BETA**counts) / (1 - _BETA)


def balanced_rows(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw as many images as there are, with replacement, so that all classes are equally likely.

    With several labels an image is as likely as the inverse of the number of images with its rarest label;
    images without any label count as one more label.

    Args:
        labels: Labels of the images, as the task encodes them.
        rng: Random generator of the epoch.

    Returns:
        Rows, int64 [images].
    """
    task = Task.of_labels(labels)
    rarest = task.strata(labels)
    n_classes = labels.shape[1] if task.independent else int(labels.max()) + 1
    counts = np.append(task.counts(labels, n_classes), np.count_nonzero(rarest == n_classes))
    likely = 1 / counts[rarest]
    return rng.choice(len(labels), len(labels), p=likely / likely.sum())
