"""Two searches compared on images whose labels a person confirmed: was the correction of labels worth it?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.estimate import Comparison, compare_paired
from tune_paddy.core.folds import Groups
from tune_paddy.core.tasks.arrays import Labels

LEAST_CONFIRMED = 2
"""Number of images with a confirmed label below which nothing can be compared."""


@dataclass(frozen=True)
class BeforeAfter:
    """Errors on the same images with confirmed labels; neither search has trained on them.

    Attributes:
        images: Number of images.
        labels: Number of decisions on an image: 1, or the number of labels that it may have.
        before: Error rate of the earlier search, 0 to 1; of several labels the share of wrong decisions.
        after: Error rate of the later search.
        comparison: Difference, later minus earlier, with its interval.
    """

    images: int
    labels: int
    before: float
    after: float
    comparison: Comparison


def compare_searches(
    earlier: NDArray[np.float64], later: NDArray[np.float64], labels: Labels, *, groups: Groups | None = None
) -> BeforeAfter:
    """Compare the error rates of two searches, paired by image.

    Args:
        earlier: float64 [images, classes], out-of-sample predictions of the search with the old labels.
        later: float64 [images, classes], those of the search with the corrected labels.
        labels: int [images], confirmed labels, at least `LEAST_CONFIRMED`; several of an image as 0 and 1,
            [images, labels].
        groups: int [images], equal values for images that belong together; None: every image is alone.
    """
    (comparison,) = compare_paired(later, {"before": earlier}, labels, metric="error_rate", groups=groups)
    after = comparison.rival_score + comparison.difference
    n_images = len(labels)
    return BeforeAfter(n_images, labels.size // n_images, comparison.rival_score, after, comparison)
