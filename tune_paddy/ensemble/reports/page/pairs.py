"""Pairs of classes that the ensemble confuses, with images of both to compare."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.diagnostics import confusion
from tune_paddy.core.predictions import Pool

LEAST = 2
"""Minimum number of images of a confused pair: a single error says nothing about two classes."""


@dataclass(frozen=True)
class ConfusedPair:
    """A class that is taken for another one.

    Attributes:
        truth: True class.
        taken: Predicted class.
        count: Number of images of the true class that are taken for the other.
        images: Number of images of the true class.
        wrong: Ids of confused images, the most confident error first.
        like_truth: Ids of typical images of the true class: predicted correctly, the most certain first.
        like_taken: Ids of typical images of the predicted class.
    """

    truth: str
    taken: str
    count: int
    images: int
    wrong: tuple[str, ...]
    like_truth: tuple[str, ...]
    like_taken: tuple[str, ...]


def confused_pairs(
    pool: Pool,
    predictions: NDArray[np.float64],
    decisions: NDArray[np.float64] | None = None,
    *,
    most: int = 5,
    examples: int = 3,
) -> tuple[ConfusedPair, ...]:
    """Return the pairs of classes with at least two confused images, the most frequent first.

    Args:
        pool: Pool with ids, labels and classes.
        predictions: Predictions of the select split, float64 [images, classes].
        decisions: Decisions of the same images as 0 and 1; None: the most probable classes.
        most: Maximum number of pairs.
        examples: Maximum number of images of each kind.

    Several labels of an image are not taken for each other: of them there are no pairs.
    """
    if pool.task.independent:
        return ()
    decided = predictions if decisions is None else decisions
    wrong = confusion(decided, pool.labels)
    totals = wrong.sum(axis=1)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    cells = [divmod(cell, len(pool.classes)) for cell in order.tolist()]

    def ids(truth: int, predicted: int) -> tuple[str, ...]:
        rows = np.flatnonzero((pool.labels == truth) & (decided.argmax(axis=1) == predicted))
        best = rows[np.argsort(-predictions[rows, predicted], kind="stable")]
        return tuple(str(name) for name in pool.select_ids[best[:examples]])

    return tuple(
        ConfusedPair(
            truth=pool.classes[truth],
            taken=pool.classes[taken],
            count=int(wrong[truth, taken]),
            images=int(totals[truth]),
            wrong=ids(truth, taken),
            like_truth=ids(truth, truth),
            like_taken=ids(taken, taken),
        )
        for truth, taken in cells
        if wrong[truth, taken] >= LEAST
    )
