"""Diagnostics for figures: confusion, recall, reliability and disagreement between views."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.estimate import wilson
from tune_paddy.core.scores.decided import decided, hits_of
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.outcomes import one_row_per_answer

BINS = 10


@dataclass(frozen=True)
class Recall:
    """Recall of one class, with an interval.

    Attributes:
        share: Share of the class's images that are predicted correctly, 0 to 1.
        low: Lower end of Wilson's 95 % interval.
        high: Upper end of the interval.
        images: Number of images of the class.
    """

    share: float
    low: float
    high: float
    images: int


@dataclass(frozen=True, eq=False)
class Reliability:
    """Reliability diagram: confidence and accuracy in bins of confidence; empty bins are omitted.

    Attributes:
        confidence: float64 [bins], mean probability of the predicted class.
        accuracy: float64 [bins], share of images whose predicted class is correct.
        images: int [bins], number of images, or of decisions.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    images: NDArray[np.intp]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean over the images of |accuracy − confidence| of their bin."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(gaps @ self.images / self.images.sum())


def disagreement(probs: Floats, labels: Labels) -> NDArray[np.float64]:
    """Return the share of decisions in which two views differ, float64 [views, views].

    Args:
        probs: Probabilities [views, images, classes].
        labels: Labels of the images; only their form matters: of several labels each is a decision.
    """
    predicted = np.stack([decided(view, labels) for view in probs]).reshape(len(probs), -1)
    return np.array([(predicted != own).mean(axis=1) for own in predicted])


def confusion(probs: Floats, labels: Labels) -> NDArray[np.intp]:
    """Return the number of images by true and predicted class, int [true classes, predicted classes].

    Args:
        probs: Probabilities [images, classes].
        labels: int [images], true classes.
    """
    n_classes = probs.shape[1]
    cells = labels * n_classes + probs.argmax(axis=1)
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


@dataclass(frozen=True, eq=False)
class Found:
    """Images of each class, and how many of them are found.

    Attributes:
        hits: int [classes], images of the class that are decided for it.
        images: int [classes], images of the class.
    """

    hits: NDArray[np.intp]
    images: NDArray[np.intp]


def count_found(probs: Floats, labels: Labels) -> Found:
    """Count the images of each class, or with each label, that are found.

    Args:
        probs: Probabilities [images, classes].
        labels: int [images], or 0 and 1, [images, labels].
    """
    n_classes = probs.shape[1]
    actual, called = (hits_of(rows, n_classes) for rows in (labels, decided(probs, labels)))
    return Found((actual & called).sum(axis=0), actual.sum(axis=0))


def recalls(found: Found) -> dict[int, Recall]:
    """Return class index → recall; classes without images have no recall."""
    pairs = zip(found.hits.tolist(), found.images.tolist(), strict=True)
    return {
        label: Recall(hits / images, *wilson(hits / images, images), images)
        for label, (hits, images) in enumerate(pairs)
        if images
    }


def chance_of_at_most(hits: int, trials: int, share: float) -> float:
    """Return the probability of at most `hits` hits in independent trials, from 0 to 1.

    It tells a result that needs an explanation from one that chance gives often.

    Args:
        hits: Number of hits.
        trials: Number of trials.
        share: Probability of a hit in each trial.

    >>> round(chance_of_at_most(1, 5, 0.5), 4), chance_of_at_most(5, 5, 1.0), chance_of_at_most(4, 5, 1.0)
    (0.1875, 1.0, 0.0)
    """
    if share in (0, 1):
        return float(share == 0 or hits >= trials)
    logs = (
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(share) + (trials - k) * math.log1p(-share)
        for k in range(hits + 1)
    )  # fmt: skip
    return min(1.0, sum(map(math.exp, logs)))


def reliability(probs: Floats, labels: Labels, *, bins: int = BINS) -> Reliability:
    """Compare the probability of the predicted class with its accuracy, in bins of equal width.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.

    Args:
        probs: Probabilities [images, classes].
        labels: int [images], true classes; of several labels, 0 and 1, [images, labels], each is a decision.
        bins: Number of bins between 0 and 1.
    """
    probs, labels = one_row_per_answer(probs, labels)
    claimed = probs.max(axis=1).astype(np.float64)
    right = probs.argmax(axis=1) == labels
    bin_of = np.minimum((claimed * bins).astype(np.intp), bins - 1)
    images = np.bincount(bin_of, minlength=bins)
    used = np.flatnonzero(images)
    sums = [np.bincount(bin_of, weights=values, minlength=bins)[used] for values in (claimed, right)]
    return Reliability(sums[0] / images[used], sums[1] / images[used], images[used])
