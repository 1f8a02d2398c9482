"""Where predictions are wrong, how sure they are of it, and where two views differ: numbers for figures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.estimate import wilson
from tune_paddy.core.metrics import Floats, Labels

BINS = 10


@dataclass(frozen=True)
class Recall:
    """How many of one class's images are found.

    Attributes:
        share: Of the class's images, 0 to 1.
        low: Lower end of Wilson's 95 % interval.
        high: Upper end.
        images: Images of the class.
    """

    share: float
    low: float
    high: float
    images: int


@dataclass(frozen=True, eq=False)
class Reliability:
    """What predictions claim and what holds, in bins of what they claim; bins without images are left out.

    Attributes:
        confidence: float64 [bins], mean probability of the predicted class.
        accuracy: float64 [bins], share of images that are of the predicted class.
        images: int [bins].
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    images: NDArray[np.intp]

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: mean over the images of |accuracy − confidence| of their bin."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(gaps @ self.images / self.images.sum())


def disagreement(probs: Floats) -> NDArray[np.float64]:
    """Share of images for which two views predict different classes, float64 [views, views].

    Args:
        probs: [views, images, classes].
    """
    predicted = probs.argmax(axis=2)
    return np.array([(predicted != own).mean(axis=1) for own in predicted])


def confusion(probs: Floats, labels: Labels) -> NDArray[np.intp]:
    """Number of images by true and predicted class, int [true classes, predicted classes].

    Args:
        probs: [images, classes].
        labels: int [images].
    """
    n_classes = probs.shape[1]
    cells = labels * n_classes + probs.argmax(axis=1)
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def recalls(confused: NDArray[np.intp]) -> tuple[Recall, ...]:
    """The recall of each class with its interval, from a `confusion` in which every class has images."""
    found = []
    for hits, images in zip(confused.diagonal().tolist(), confused.sum(axis=1).tolist(), strict=True):
        found.append(Recall(hits / images, *wilson(hits / images, images), images))
    return tuple(found)


def reliability(probs: Floats, labels: Labels, *, bins: int = BINS) -> Reliability:
    """Compare the probability of the predicted class with how often it is right, in bins of equal width.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.

    Args:
        probs: [images, classes].
        labels: int [images].
        bins: Of the probability from 0 to 1.
    """
    claimed = probs.max(axis=1).astype(np.float64)
    right = probs.argmax(axis=1) == labels
    bin_of = np.minimum((claimed * bins).astype(np.intp), bins - 1)
    images = np.bincount(bin_of, minlength=bins)
    used = np.flatnonzero(images)
    sums = [np.bincount(bin_of, weights=values, minlength=bins)[used] for values in (claimed, right)]
    return Reliability(sums[0] / images[used], sums[1] / images[used], images[used])
