"""Suspects: images whose labels the pool's out-of-sample votes contradict."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.doctor.noise import Noise, find_noise
from tune_paddy.core.errors import InputError
from tune_paddy.core.estimate import cross_fit
from tune_paddy.core.folds import Groups, count_independent
from tune_paddy.core.selection.log_linear import log_linear_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.outcomes import as_questions

LEAST_IMAGES = 50
"""Number of images below which noise cannot be told from mistakes."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Labels of a pool's images, judged by its out-of-sample votes.

    Attributes:
        noise: Estimated noise of the labels.
        order: int [images], rows from the most to the least suspect.
        predictions: float64 [images, classes], out-of-sample predictions of the pool.
        votes: int [images], number of views that contradict the given label: their most probable class is
            another, or they decide otherwise on one of several labels that is in doubt.
    """

    noise: Noise
    order: NDArray[np.intp]
    predictions: NDArray[np.float64]
    votes: NDArray[np.intp]


def diagnose(probs: Floats, labels: Labels, *, groups: Groups | None = None, seed: int = 0) -> Diagnosis:
    """Rank images by the probability that their label is wrong.

    No member has trained on the images, and the weights of the views are cross-fitted, so that no label
    takes part in its own judgement.

    Args:
        probs: float32 [views, images, classes], predictions of models that have not seen the images.
        labels: int [images], given labels; several of an image as 0 and 1, [images, labels].
        groups: int [images], equal values for images that belong together; None: every image is alone.
        seed: Seed of the folds.

    Raises:
        InputError: The pool is invalid, or there are too few images.
    """
    if len(labels) < LEAST_IMAGES or count_independent(labels, groups) < 2:  # noqa: PLR2004 two halves
        raise InputError(
            f"labels can be judged with at least {LEAST_IMAGES} images; there are {len(labels)}: search with "
            "`folds`, which judges every labelled image",
            options=("folds",),
        )
    predictions = cross_fit(probs, labels, _fit, seed=seed, groups=groups)
    noise = find_noise(predictions, labels, groups)
    # Of images whose most doubtful labels are alike, the one with more doubtful labels comes first.
    order = np.lexsort((-noise.answers.sum(axis=0), -noise.wrong))
    return Diagnosis(noise, order, predictions, _votes(probs, labels, noise.likelier))


def _votes(probs: Floats, labels: Labels, likelier: Labels) -> NDArray[np.intp]:
    """Return the number of views that contradict a given answer whose place another one may take [images]."""
    asked, given = as_questions(probs, labels)
    doubted = as_questions(probs, likelier)[1] != given
    contradicted = (asked.argmax(axis=-1) != given) & doubted
    return np.asarray(contradicted.any(axis=1).sum(axis=0))


def _fit(probs: Floats, labels: Labels, *_: object) -> Selection:
    # Linear votes: the logarithmic ones of the selection keep doubt in every view, which hides wrong labels.
    return replace(log_linear_select(probs, labels), rule="mean", temperature=1.0)
