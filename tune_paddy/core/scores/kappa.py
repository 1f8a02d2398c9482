"""Quadratic weighted kappa of ordered classes, and the thresholds that turn probabilities into grades."""

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.tasks.arrays import Floats, Labels


def expected_grade(probs: Floats) -> NDArray[np.float64]:
    """Return the mean class index under each image's probabilities, float64 [images]."""
    grades: NDArray[np.float64] = np.dot(probs.astype(np.float64), np.arange(probs.shape[1]))
    return grades


def midpoints(n_classes: int) -> NDArray[np.float64]:
    """Return the thresholds that round an expected grade, float64 [classes - 1]."""
    return np.arange(0.5, n_classes - 1)


def grades_of(expected: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the grade of each image: the number of thresholds that its expected grade reaches."""
    return np.searchsorted(thresholds, expected, side="right")


def qwk_loss(probs: Floats, labels: Labels) -> float:
    """Return 1 − the quadratic weighted kappa of the rounded expected grade, from 0 to 2.

    Source: Cohen, "Weighted kappa", Psychological Bulletin 1968.
    """
    n_classes = probs.shape[1]
    return kappa_loss(grades_of(expected_grade(probs), midpoints(n_classes)), labels, n_classes)


def kappa_loss(grades: Labels, labels: Labels, n_classes: int) -> float:
    """Return 1 − the quadratic weighted kappa of grades, int [images]; 0 if all are the same and right."""
    steps = np.arange(n_classes)
    weights = (steps[:, None] - steps) ** 2
    cells = np.bincount(labels * n_classes + grades, minlength=n_classes**2).reshape(n_classes, n_classes)
    by_chance = np.outer(cells.sum(axis=1), cells.sum(axis=0)) / max(1, len(labels))
    expected = float((weights * by_chance).sum())
    observed = float((weights * cells).sum())
    return observed / expected if expected else float(observed > 0)
