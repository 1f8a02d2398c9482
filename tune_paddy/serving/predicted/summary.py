"""Predicted classes with their counts and confidences."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tune_paddy.core.scores.decided import hits_of

if TYPE_CHECKING:
    from tune_paddy.serving.ensemble_model import Answer  # imports torch


@dataclass(frozen=True)
class PredictedClass:
    """One class among the predictions.

    Attributes:
        label: Name of the class.
        images: Number of images that are decided for this class.
        confidence: Mean probability of the class on these images, from 0 to 1.
    """

    label: str
    images: int
    confidence: float


def count_classes(answer: "Answer") -> list[PredictedClass]:
    """Return every predicted class, the most frequent first; unreadable images are left out."""
    rows = readable_rows(answer)
    if not rows:
        return []
    decided = hits_of(answer.decisions[rows], len(answer.classes))
    probs = answer.probs[rows]
    counted = [
        PredictedClass(
            answer.classes[code], int(decided[:, code].sum()), float(probs[decided[:, code], code].mean())
        )
        for code in np.flatnonzero(decided.any(axis=0)).tolist()
    ]
    return sorted(counted, key=lambda one: (-one.images, one.label))


def least_certain(answer: "Answer") -> list[int]:
    """Return the rows of the readable images, the lowest probability of the decision first."""
    confidences = answer.confidences()
    return sorted(readable_rows(answer), key=lambda row: (float(confidences[row]), row))


def readable_rows(answer: "Answer") -> list[int]:
    """Return the rows of the images that were predicted."""
    return [row for row in range(len(answer.probs)) if row not in answer.broken]
