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
        before: Error rate of the earlier search, 0 to 1.
        after: Error rate of the later search.
        comparison: Difference, later minus earlier, with its interval.
    """

    images: int
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
        labels: int [images], confirmed labels, at least `LEAST_CONFIRMED`.
        groups: int [images], equal values for images that belong together; None: every image is alone.
    """
    (comparison,) = compare_paired(later, {"before": earlier}, labels, metric="error_rate", groups=groups)
    after = comparison.rival_score + comparison.difference
    return BeforeAfter(len(labels), comparison.rival_score, after, comparison)
