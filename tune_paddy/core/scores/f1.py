"""F1 of classes and of independent labels: macro, weighted, over all decisions, and per image.

F1 is 2 TP / (2 TP + FP + FN), from decisions: the most probable class, or the labels above one half.
"""

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.scores.decided import decided, hits_of
from tune_paddy.core.tasks.arrays import Floats, Labels


def macro_f1_loss(probs: Floats, labels: Labels) -> float:
    """Return 1 − the mean F1 over the classes that occur in the labels."""
    f1, images = _per_class(probs, labels)
    return float(1 - f1[images > 0].mean()) if images.any() else 1.0


def weighted_f1_loss(probs: Floats, labels: Labels) -> float:
    """Return 1 − the mean F1 over the classes, each weighted by its number of images."""
    f1, images = _per_class(probs, labels)
    return float(1 - f1 @ images / images.sum()) if images.any() else 1.0


def micro_f1_loss(probs: Floats, labels: Labels) -> float:
    """Return 1 − F1 over all decisions together; of classes it is the error rate."""
    actual, called = (hits_of(rows, probs.shape[1]) for rows in (labels, decided(probs, labels)))
    return 1 - float(_f1((actual & called).sum(), actual.sum(), called.sum()))


def samples_f1_loss(probs: Floats, labels: Labels) -> float:
    """Return 1 − the mean F1 of the images; an image without labels, for which none is predicted, has 1.

    It is the "mean F1-score" of competitions with several labels an image; of classes it is the error rate.
    """
    actual, called = (hits_of(rows, probs.shape[1]) for rows in (labels, decided(probs, labels)))
    f1 = _f1((actual & called).sum(axis=1), actual.sum(axis=1), called.sum(axis=1), empty=1.0)
    return float(1 - f1.mean())


def _per_class(probs: Floats, labels: Labels) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return each class's F1 and its number of images, both [classes]."""
    called = decided(probs, labels)
    n_classes = probs.shape[1]
    if labels.ndim > 1:
        hits, actual, claimed = (rows.sum(axis=0) for rows in (labels * called, labels, called))
    else:
        hits = np.bincount(labels[called == labels], minlength=n_classes)
        actual, claimed = (np.bincount(rows, minlength=n_classes) for rows in (labels, called))
    return _f1(hits, actual, claimed), actual


def _f1(
    hits: NDArray[np.intp], actual: NDArray[np.intp], called: NDArray[np.intp], empty: float = 0.0
) -> NDArray[np.float64]:
    total = np.asarray(actual + called, np.float64)
    return np.where(total > 0, 2 * hits / np.maximum(total, 1), empty)
