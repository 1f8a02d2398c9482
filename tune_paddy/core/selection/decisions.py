"""Decisions of an ensemble where the metric judges them: thresholds, and what is scored."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import get_metric
from tune_paddy.core.scores.thresholds import as_probabilities, fit_thresholds, is_thresholded
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.task import Task


def fit_decisions(selection: Selection, probs: Floats, labels: Labels, task: Task) -> Selection:
    """Return a selection of a task with the thresholds that its metric needs, and its score with them.

    Args:
        selection: Selection fitted on these images.
        probs: float32 [views, images, classes].
        labels: Labels of the images.
        task: What the labels are.
    """
    selection = replace(selection, task=task.name)
    if not is_thresholded(selection.metric, task):
        return selection
    blended = selection.blend(probs)
    selection = replace(selection, thresholds=fit_thresholds(blended, labels, selection.metric, task))
    return replace(selection, score=get_metric(selection.metric)(scored(selection, blended), labels))


def scored(selection: Selection, blended: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the metric judges: the probabilities, or decisions by thresholds as 0 and 1.

    Args:
        selection: Selection that blended the probabilities.
        blended: Probabilities, float64 [images, classes].
    """
    if selection.thresholds is None:
        return blended
    return as_probabilities(selection.decide(blended), blended.shape[1])
