"""Folds within the select split, to cross-fit selections in: fitted on one part, scored on the other.

They are not the folds that `folds: k` trains members in: `core/splits.py` divides those. Images that belong
together, such as those of one patient, are in one fold: otherwise what is fitted on one of them would be
scored on its like.
"""

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.splits import deal_groups
from tune_paddy.core.tasks.arrays import Labels
from tune_paddy.core.tasks.task import Task

Groups = NDArray[np.int64]
"""Equal values for images that stay together, int64 [images]."""


def count_independent(labels: Labels, groups: Groups | None = None) -> int:
    """Return the number of images that can be divided freely: of groups, or of images without groups."""
    return len(labels) if groups is None else len(np.unique(groups))


def stratified_folds(
    labels: Labels, n_folds: int, rng: np.random.Generator, groups: Groups | None = None
) -> NDArray[np.intp]:
    """Assign every image to a fold so that each class is spread over the folds as evenly as possible.

    An image with several labels counts as one of its rarest.

    A class of one image is in one fold only: what is fitted on the others is scored on a class that it has
    not seen. All such images are distributed as if they were of one class.

    Args:
        labels: int [images], at least 2, or 0 and 1, [images, labels].
        n_folds: Number of folds, at least 2.
        rng: Random number generator; it is advanced.
        groups: int [images], equal values for images of one fold, at least two groups; None: every image is
            alone.

    Returns:
        int [images], the fold of each image, 0..n_folds-1. Every class with two images, and at least one
        image, is outside of each fold; with groups, at least one image is.
    """
    labels = Task.of_labels(labels).strata(labels)
    if groups is not None and len(np.unique(groups)) < len(groups):
        return deal_groups(np.asarray(labels, np.int64), groups, n_folds, rng).astype(np.intp)
    folds = np.empty(len(labels), np.intp)
    classes, counts = np.unique(labels, return_counts=True)
    alone = np.isin(labels, classes[counts == 1])
    parts = [np.flatnonzero(labels == label) for label in classes[counts > 1]]
    for part in (*parts, np.flatnonzero(alone)):
        if len(part):
            images = rng.permutation(part)
            folds[images] = (np.arange(len(images)) + rng.integers(n_folds)) % n_folds
    return folds
