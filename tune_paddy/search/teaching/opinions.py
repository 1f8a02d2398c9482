"""What the members of a teacher predict, and the targets of a new search that follow from it.

The model of a fold is taught by the teacher's models of the same fold alone: no image that judges it has
trained its teacher. A target is the unweighted mean of the better half of the members, ranked by the labels
of all other folds. Of these members a soft label takes the ones whose model did not train on the image
itself, since its subsample left it out; if there is none, all.

With a select split, which no member trains on, pseudo-labels are the mean of all members: only the labels of
the select split could rank them.

Out-of-fold predictions as soft labels, which are common, do not serve here: the models that make them train
on the fold that judges the student. `benchmarks/soft_labels.py` measures what that hides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import log_loss
from tune_paddy.core.predictions import FoldPredictions, Predictions, rows_of
from tune_paddy.core.teaching.targets import (
    Targets,
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
        select: Predictions of the select images, with folds by the models that did not train on them, float32
            [select images, classes].
        test: Predictions of the images to predict, by the mean of the models, float32 [test images, classes].
        by_fold: Predictions of the model of each fold; None: not recorded, or the search has no folds.
    """

    select: NDArray[np.float32]
    test: NDArray[np.float32]
    by_fold: FoldPredictions | None = None


def opinion_of(member: Predictions, parts: Parts) -> Opinion:
    """Return the opinion of a member that has the same images and classes as a new search."""
    view, by_fold = taught_view(member.select), member.by_fold
    columns = [member.classes.index(name) for name in parts.classes]
    select, test = (
        rows_of(theirs, ours)
        for theirs, ours in ((member.select_ids, parts.select.ids), (member.test_ids, parts.test.ids))
    )
    return Opinion(
        member.select[view][select][:, columns],
        member.test[view][test][:, columns],
        None
        if by_fold is None or len(by_fold.test) != parts.n_folds
        else FoldPredictions(
            by_fold.select[:, select][..., columns],
            by_fold.trained[:, select],
            by_fold.test[:, test][..., columns],
        ),
    )


def soft_labels(opinions: Sequence[Opinion], parts: Parts, mix: float) -> Targets | None:
    """Mix the labels of the images of the folds with what the model of each fold predicts.

    Args:
        opinions: Members of the teacher.
        parts: Data of the new search, with folds.
        mix: Share of the teacher, from 0 to 1.

    Returns:
        For the model of each fold, float32 [folds, select images, classes]; the images of its own fold, which
        it does not train on, have targets, too. None: a member lacks the predictions of its folds' models.
    """
    targets = []
    for fold, members in enumerate(_chosen(opinions, parts)):
        known = [each.by_fold for each in members if each.by_fold is not None]
        if len(known) < len(members):
            return None
        unseen = np.stack([~own.trained[fold] for own in known])
        heard = unseen | ~unseen.any(axis=0)
        probs = mean_opinion([own.select[fold] for own in known], parts.task, heard)
        targets.append(mixed_targets(parts.select.labels, probs, mix))
    return np.stack(targets)


def pseudo_labels(opinions: Sequence[Opinion], parts: Parts) -> Targets | None:
    """Label the images to predict for the model of each fold.

    Args:
        opinions: Members of the teacher.
        parts: Data of the new search.

    Returns:
        float32 [folds, test images, classes]; with a select split [1, test images, classes]. None: a member
        lacks the predictions of its folds' models.
    """
    if not parts.n_folds:
        return mean_opinion([each.test for each in opinions], parts.task).astype(np.float32)[None]
    targets = []
    for fold, members in enumerate(_chosen(opinions, parts)):
        known = [each.by_fold.test[fold] for each in members if each.by_fold is not None]
        if len(known) < len(members):
            return None
        targets.append(mean_opinion(known, parts.task).astype(np.float32))
    return np.stack(targets)


def _chosen(opinions: Sequence[Opinion], parts: Parts) -> list[list[Opinion]]:
    """Return the members that teach each fold: the better half by the labels of all other folds."""
    chosen = []
    for fold in range(parts.n_folds):
        outside = parts.folds != fold
        labels = parts.select.labels[outside]
        losses = [log_loss(member.select[outside], labels) for member in opinions]
        chosen.append([opinions[row] for row in better_half(losses)])
    return chosen
