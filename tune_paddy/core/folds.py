"""Stratified folds of the select split, for fitting on one part and scoring on the other."""

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.tasks.arrays import Labels
from tune_paddy.core.tasks.task import Task


def stratified_folds(labels: Labels, n_folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Assign every image to a fold so that each class is spread over the folds as evenly as possible.

    An image with several labels counts as one of its rarest.

    A class of one image is in one fold only: what is fitted on the others is scored on a class that it has
    not seen. All such images are distributed as if they were of one class.

    Args:
        labels: int [images], at least 2, or 0 and 1, [images, labels].
        n_folds: Number of folds, at least 2.
        rng: Random number generator; it is advanced.

    Returns:
        int [images], the fold of each image, 0..n_folds-1. Every class with two images, and at least one
        image, is outside of each fold.
    """
    labels = Task.of_labels(labels).strata(labels)
    folds = np.empty(len(labels), np.intp)
    classes, counts = np.unique(labels, return_counts=True)
    alone = np.isin(labels, classes[counts == 1])
    parts = [np.flatnonzero(labels == label) for label in classes[counts > 1]]
    for part in (*parts, np.flatnonzero(alone)):
        if len(part):
            images = rng.permutation(part)
            folds[images] = (np.arange(len(images)) + rng.integers(n_folds)) % n_folds
    return folds
