"""Decisions from probabilities: the most probable class, or the labels above one half."""

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.tasks.arrays import Floats, Labels


def decided(probs: Floats, labels: Labels) -> Labels:
    """Return the decision for each image in the form of its labels; the first class wins a tie.

    Args:
        probs: [images, classes], or [images, labels] of independent labels.
        labels: int [images], or 0 and 1 [images, labels]; only their form matters.
    """
    decisions = probs > 0.5 if labels.ndim > 1 else probs.argmax(axis=1)  # noqa: PLR2004 more probable than not
    return np.asarray(decisions, np.int64)


def hits_of(labels: Labels, n_classes: int) -> NDArray[np.bool_]:
    """Return whether an image has each class, bool [images, classes]."""
    members: NDArray[np.bool_] = labels == 1 if labels.ndim > 1 else labels[:, None] == np.arange(n_classes)
    return members
