"""Decisions from an ensemble's probabilities, and thresholds fitted to a metric.

Where a metric judges decisions, the usual ones (the most probable class, labels above one half) need not be
its best. Thresholds are fitted on the images of the selection, so an honest score needs them fitted without
the images that it counts.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.scores.decided import decided
from tune_paddy.core.scores.f1 import macro_f1_loss, micro_f1_loss, samples_f1_loss, weighted_f1_loss
from tune_paddy.core.scores.kappa import expected_grade, grades_of, kappa_loss, midpoints
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.names import MULTILABEL, ORDERED
from tune_paddy.core.tasks.task import Task

Loss = Callable[[NDArray[np.float64]], float]

SWEEPS = 3
"""Largest number of passes over the thresholds."""
STEPS = 25
"""Number of values that a pass tries for each threshold."""
GAIN = 1e-9
"""Smallest gain that moves a threshold: rounding must not."""

_F1 = {
    "macro_f1": macro_f1_loss,
    "weighted_f1": weighted_f1_loss,
    "micro_f1": micro_f1_loss,
    "samples_f1": samples_f1_loss,
}


def is_thresholded(metric: str, task: Task) -> bool:
    """Whether a metric of a task judges decisions that thresholds can better."""
    return metric == "qwk" if task.name == ORDERED else task.name == MULTILABEL and metric in _F1


def decide(probs: Floats, task: Task, thresholds: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
    """Return the decision for each image, in the form of the task's labels.

    Args:
        probs: Probabilities [images, classes].
        task: What the labels are.
        thresholds: Of ordered classes, on the expected grade, float64 [classes - 1]; of independent labels,
            on their probabilities, float64 [labels]; None: the most probable class, labels above one half.
    """
    if thresholds is None:
        return decided(probs, task.empty(probs.shape[1])).astype(np.int64)
    if task.independent:
        return (probs > thresholds).astype(np.int64)
    return grades_of(expected_grade(probs), thresholds).astype(np.int64)


def as_probabilities(decisions: Labels, n_classes: int) -> NDArray[np.float64]:
    """Return decisions as probabilities of 0 and 1, float64 [images, classes], for a metric."""
    return decisions.astype(np.float64) if decisions.ndim > 1 else np.eye(n_classes)[decisions]


def fit_thresholds(probs: Floats, labels: Labels, metric: str, task: Task) -> NDArray[np.float64]:
    """Return the thresholds that lower a metric, by coordinate descent from the usual ones.

    Args:
        probs: Probabilities of an ensemble [images, classes].
        labels: Labels of these images.
        metric: A metric for which `is_thresholded`.
        task: What the labels are.
    """
    if task.independent:
        score = _F1[metric]

        def loss(values: NDArray[np.float64]) -> float:
            return score((probs > values).astype(np.float64), labels)

        candidates = [_between(column) for column in np.asarray(probs, np.float64).T]
        return _descend(loss, _common(loss, probs.shape[1]), candidates)
    expected = expected_grade(probs)
    n_classes = probs.shape[1]

    def kappa(values: NDArray[np.float64]) -> float:
        return kappa_loss(grades_of(expected, values), labels, n_classes)

    return _descend(kappa, midpoints(n_classes), [_between(expected)] * (n_classes - 1), ordered=True)


def _common(loss: Loss, n_labels: int) -> NDArray[np.float64]:
    """Return the best threshold that all labels share; the nearest to one half among equals."""
    shared = sorted(np.linspace(0.05, 0.95, 19), key=lambda value: abs(value - 0.5))
    return min((np.full(n_labels, value) for value in shared), key=lambda values: round(loss(values), 9))


def _between(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return candidates for a threshold: points between neighbouring values, at most `STEPS`."""
    known = np.unique(values)
    middles = (known[1:] + known[:-1]) / 2
    if len(middles) <= STEPS:
        return middles
    return middles[np.linspace(0, len(middles) - 1, STEPS).astype(np.intp)]


def _descend(
    loss: Loss, start: NDArray[np.float64], candidates: list[NDArray[np.float64]], *, ordered: bool = False
) -> NDArray[np.float64]:
    """Move one threshold after another to its best candidate; `ordered` ones stay in order."""
    values = start.copy()
    best = loss(values)
    for _ in range(SWEEPS):
        before = best
        for number, tried in enumerate(candidates):
            for value in tried:
                moved = values.copy()
                moved[number] = value
                if ordered and (np.diff(moved) < 0).any():
                    continue
                found = loss(moved)
                if found < best - GAIN:
                    best, values = found, moved
        if best == before:
            break
    return values
