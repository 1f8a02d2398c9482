"""What the members of a teacher predict, and the targets of a new search that follow from it.

A target is the unweighted mean of members, each with the model that has not seen the labels in question:

| split | target | not seen | members |
|---|---|---|---|
| folds | soft label of an image | the image's fold | the better half by the other folds |
| folds | pseudo-label for the model of a fold | the same fold | the better half by the other folds |
| select split | pseudo-label | the select split | all: only the select split could rank them |

What remains with folds: soft labels outside a fold, and the predictions there that rank the members, are made
by models that trained on the fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import log_loss
from tune_paddy.core.predictions import Predictions
from tune_paddy.core.teaching.targets import (
    Targets,
    aligned,
    better_half,
    mean_opinion,
    mixed_targets,
    taught_view,
)
from tune_paddy.data.member_data import Parts


@dataclass(frozen=True)
class Opinion:
    """Predictions of one member of a teacher, for the images of the new search and in their order.

    Attributes:
        select: Out-of-fold predictions, or those of the select split, float32 [select images, classes].
        test: Predictions of the images to predict by the model of each fold, float32 [folds, test images,
            classes], with a select split [1, …]; None: the models' own predictions were not recorded.
    """

    select: NDArray[np.float32]
    test: NDArray[np.float32] | None


def opinion_of(member: Predictions, parts: Parts) -> Opinion:
    """Return the opinion of a member that has the same images and classes as a new search."""
    view, classes = taught_view(member.select), (member.classes, parts.classes)
    test = member.test_by_fold.get(view) if parts.n_folds else member.test[view][None]
    if test is not None and len(test) != max(1, parts.n_folds):
        test = None
    return Opinion(
        aligned(member.select[view], (member.select_ids, parts.select.ids), classes),
        None
        if test is None
        else aligned(test.astype(np.float32), (member.test_ids, parts.test.ids), classes),
    )


def soft_labels(opinions: Sequence[Opinion], parts: Parts, mix: float) -> Targets:
    """Mix the labels of the images of the folds with their out-of-fold predictions.

    Args:
        opinions: Members of the teacher.
        parts: Data of the new search, with folds.
        mix: Share of the teacher, from 0 to 1.

    Returns:
        float32 [select images, classes].
    """
    probs = np.empty(opinions[0].select.shape)
    for fold, members in enumerate(_chosen(opinions, parts)):
        rows = parts.folds == fold
        probs[rows] = mean_opinion([member.select[rows] for member in members], parts.task)
    return mixed_targets(parts.select.labels, probs, mix)


def pseudo_labels(opinions: Sequence[Opinion], parts: Parts) -> Targets | None:
    """Label the images to predict for the model of each fold; None: a member lacks its folds' predictions.

    Args:
        opinions: Members of the teacher.
        parts: Data of the new search.

    Returns:
        float32 [folds, test images, classes]; with a select split [1, test images, classes].
    """
    by_fold = []
    for fold, members in enumerate(_chosen(opinions, parts) if parts.n_folds else [opinions]):
        own = [member.test[fold] for member in members if member.test is not None]
        if len(own) < len(members):
            return None
        by_fold.append(mean_opinion(own, parts.task))
    return np.stack(by_fold).astype(np.float32)


def _chosen(opinions: Sequence[Opinion], parts: Parts) -> list[list[Opinion]]:
    """Return the members that teach each fold: the better half by the labels of all other folds."""
    chosen = []
    for fold in range(parts.n_folds):
        outside = parts.folds != fold
        labels = parts.select.labels[outside]
        losses = [log_loss(member.select[outside], labels) for member in opinions]
        chosen.append([opinions[row] for row in better_half(losses)])
    return chosen
