"""Stratified folds of the select split, for fitting on one part and scoring on the other."""

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import Labels


def stratified_folds(labels: Labels, n_folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Assign every image to a fold so that each class is spread over the folds as evenly as possible.

    Args:
        labels: int [images].
        n_folds: Number of folds, at least 2.
        rng: Random number generator; it is advanced.

    Returns:
        int [images], the fold of each image, 0..n_folds-1.

    Raises:
        InputError: A class has a single image, so that one part would lack it.
    """
    folds = np.empty(len(labels), np.intp)
    for label in np.unique(labels):
        images = rng.permutation(np.flatnonzero(labels == label))
        if len(images) == 1:
            raise InputError(f"class {label} has a single labelled image: cross-fitting needs 2 or more")
        folds[images] = (np.arange(len(images)) + rng.integers(n_folds)) % n_folds
    return folds
