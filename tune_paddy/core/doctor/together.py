"""Images that belong together: what the labels of an image's group say about its own.

Copies of an image, and pictures of one patient or plant, often have one class. How often is fitted: a group
has a class of its own, and each of its images is of that class with the *agreement*, otherwise of any class.
An agreement of 0 leaves every image alone.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tune_paddy.core.folds import Groups
from tune_paddy.core.metrics import EPS
from tune_paddy.core.tasks.arrays import Labels

Probs = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Together:
    """Groups of images.

    Attributes:
        group: int [images], number of each image's group, from 0.
        shares: float64 [classes], share of each class.
    """

    group: NDArray[np.intp]
    shares: Probs

    @cached_property
    def divided(self) -> bool:
        """Whether any two images belong together."""
        return int(self.group.max()) + 1 < len(self.group)

    def log_likelihoods(self, own: Probs, heard: Probs, agreement: float) -> Probs:
        """Return the log probability of each group's labels, given their predictions, float64 [groups].

        Args:
            own: float64 [images, classes], prediction of each image.
            heard: float64 [images, classes], probability of each image's label if the class is the true one.
            agreement: Share of images that have the class of their group, 0 to 1.
        """
        if not self.divided:  # the same, a few times faster
            return np.asarray(np.log(np.maximum((own * heard).sum(axis=1), EPS)))
        labelled = self._of_groups(self._messages(own, heard, agreement))
        unlabelled = self._of_groups(self._messages(own, np.ones_like(heard), agreement))
        return _log_sums(labelled) - _log_sums(unlabelled)

    def true_classes(self, own: Probs, heard: Probs, agreement: float) -> Probs:
        """Return the probability of each class to be the true one, float64 [images, classes].

        Args:
            own: float64 [images, classes], prediction of each image.
            heard: float64 [images, classes], probability of each image's label if the class is the true one.
            agreement: Share of images that have the class of their group, 0 to 1.
        """
        messages = self._messages(own, heard, agreement)
        others = self._of_groups(messages)[self.group] - messages
        others = np.exp(others - _log_sums(others)[:, None])
        truth = own * heard * (agreement * others / self.shares + 1 - agreement)
        return np.asarray(truth / truth.sum(axis=1, keepdims=True))

    def _messages(self, own: Probs, heard: Probs, agreement: float) -> Probs:
        """Return what each image says about the class of its group, as log likelihoods [images, classes]."""
        joint = own * heard
        alone = joint.sum(axis=1, keepdims=True)
        likely = agreement * joint / self.shares + (1 - agreement) * alone
        return np.asarray(np.log(np.maximum(likely, EPS)))

    def _of_groups(self, messages: Probs) -> Probs:
        """Return the log probability of each group's class together with its images [groups, classes]."""
        total: Probs = self._images @ messages
        return total + np.log(self.shares)

    @cached_property
    def _images(self) -> csr_array:
        """Which images each group has, 0 and 1 [groups, images]."""
        n_images = len(self.group)
        return csr_array((np.ones(n_images), (self.group, np.arange(n_images))))


def _log_sums(values: Probs) -> Probs:
    """Return log Σ exp of each row of finite values, several times faster than SciPy's, which checks them."""
    top = values.max(axis=1)
    return np.asarray(top + np.log(np.exp(values - top[:, None]).sum(axis=1)))


def together(groups: Groups | None, labels: Labels, n_classes: int) -> Together:
    """Return the groups of labelled images.

    Args:
        groups: int [images], equal values for images that belong together; None: every image is alone.
        labels: int [images], given labels.
        n_classes: Number of classes.
    """
    names = np.arange(len(labels)) if groups is None else groups
    counts = np.bincount(labels, minlength=n_classes) + 1.0
    return Together(np.unique(names, return_inverse=True)[1], counts / counts.sum())
