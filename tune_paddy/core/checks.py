"""Validation of the arrays that every selection works on."""

import numpy as np

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.task import ROW_SUM_TOLERANCE

_AXES = 3


def check_pool(probs: Floats, labels: Labels) -> None:
    """Raise if no ensemble can be selected from a pool.

    Args:
        probs: Float array [views, images, classes], expected to be finite and within [0, 1].
        labels: Integer array [images]; classes without images are allowed, and cannot be judged. Of several
            labels an image 0 and 1, [images, classes].

    Raises:
        InputError: The arrays violate these conditions.
    """
    check_shapes(probs, labels)
    for number, view in enumerate(probs):
        check_probabilities(view, number)


def check_shapes(probs: Floats, labels: Labels) -> None:
    """Raise if shapes, types or labels do not match.

    Raises:
        InputError: They do not match.
    """
    if probs.ndim != _AXES or not np.issubdtype(probs.dtype, np.floating):
        raise InputError(
            f"predictions must be floats [views, images, classes], not {probs.dtype} {probs.shape}"
        )
    if not all(probs.shape):
        raise InputError("nothing to select from: {} views, {} images, {} classes".format(*probs.shape))
    wanted = probs.shape[1:3] if labels.ndim > 1 else probs.shape[1:2]
    if labels.shape != wanted or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels must be integers {list(wanted)}, not {labels.dtype} {list(labels.shape)}")
    most = 1 if labels.ndim > 1 else probs.shape[2] - 1
    if labels.min() < 0 or labels.max() > most:
        raise InputError(f"labels must lie in 0..{most}, not {labels.min()}..{labels.max()}")


def check_probabilities(view: Floats, number: int) -> None:
    """Raise if a view [images, classes] holds values that are not probabilities; `number` names it.

    Raises:
        InputError: A value is NaN, infinite, below 0 or above 1.
    """
    low, high = view.min(), view.max()
    if not (low >= 0 and high <= 1 + ROW_SUM_TOLERANCE):  # false for NaN too
        raise InputError(f"view {number} holds values from {low} to {high}, not probabilities: leave it out")
