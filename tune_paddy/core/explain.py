"""Explanations of a selection: the contribution of each member, and the redundancy of views left out."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import get_metric, true_class
from tune_paddy.core.selection.decisions import scored
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats, Labels


@dataclass(frozen=True)
class Redundancy:
    """Chosen view whose losses are most similar to those of a view left out.

    Attributes:
        view: Index of the chosen view.
        correlation: Correlation of the two views' losses over the images, -1 to 1.
    """

    view: int
    correlation: float


def marginal_contributions(
    selection: Selection, probs: Floats, labels: Labels, groups: NDArray[np.intp]
) -> dict[int, float]:
    """Return the rise of the loss without each member, the other ensemble weights kept in proportion.

    Args:
        selection: Selection of these views.
        probs: float32 [views, images, classes].
        labels: int [images].
        groups: int [views], the member of each view; a member's views are removed together.

    Returns:
        Member → rise of the loss (negative: the ensemble would be better without it). Members without
        weight, and the only member of an ensemble, are omitted.
    """
    score = get_metric(selection.metric)
    whole = score(scored(selection, selection.blend(probs)), labels)
    chosen = np.unique(groups[selection.weights > 0])
    if len(chosen) < 2:  # noqa: PLR2004 nothing would be left
        return {}
    return {
        int(member): score(scored(left, left.blend(probs)), labels) - whole
        for member in chosen
        for left in (_without(selection, groups == member),)
    }


def redundancies(selection: Selection, probs: Floats, labels: Labels) -> dict[int, Redundancy]:
    """Return, for each view without weight, the chosen view with the most correlated losses.

    Args:
        selection: Selection of these views.
        probs: float32 [views, images, classes].
        labels: int [images].
    """
    true = np.stack([true_class(view, labels).ravel() for view in probs])
    losses = -np.log(np.maximum(true, np.finfo(np.float32).tiny))
    centred = losses - losses.mean(axis=1, keepdims=True)
    norms = np.sqrt((centred**2).sum(axis=1))
    unit = centred / np.where(norms > 0, norms, 1)[:, None]
    chosen = np.flatnonzero(selection.weights > 0)
    left_out = np.flatnonzero(selection.weights == 0)
    correlation = unit[left_out] @ unit[chosen].T
    nearest = correlation.argmax(axis=1)
    return {
        int(view): Redundancy(int(chosen[near]), float(correlation[row, near]))
        for row, (view, near) in enumerate(zip(left_out, nearest, strict=True))
    }


def _without(selection: Selection, leaving: NDArray[np.bool_]) -> Selection:
    left = np.where(leaving, 0.0, selection.weights)
    return replace(selection, weights=left / left.sum())
