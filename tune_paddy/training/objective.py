"""What a network's output means for a task: its probabilities, its loss, and the targets of mixed images.

Every loss takes soft targets. Probabilities are those at which the loss is minimal: softmax for
cross-entropy; for binary losses over exclusive classes the sigmoids, divided by their sum, since a softmax of
the same outputs would be overconfident (it divides odds, p / (1 - p), where the sigmoids are p).

The focal loss alone keeps the softmax although it is minimal at flatter probabilities than the true ones.
Charoenphakdee et al. 2021 (arXiv:2011.09172) undo that in closed form, but networks that fit their training
images are overconfident already: on digits this raised the log loss in six of six trainings, also at the best
temperature.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from tune_paddy.core.tasks.task import Task

GAMMA = 2.0
"""Exponent of the focal loss, the value that its source recommends."""


class Objective(Protocol):
    """Probabilities and loss of a task."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return probabilities, float32 [n, classes], from float32 logits [n, classes]."""

    def loss(self, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the sum of the images' losses, in nats.

        Args:
            logits: float32 [n, classes].
            targets: Labels as the dataset has them, or shares of the classes, float [n, classes].
            smoothing: Label smoothing, from 0 to 1.
        """

    def shares(self, targets: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:
        """Return the share of each class in each image, [n, classes], from its labels or from shares."""


class _OneClass:
    """Softmax and cross-entropy. A weight multiplies the whole loss of an image of its class."""

    def __init__(self, weights: Tensor | None) -> None:
        self.weights = weights

    def probabilities(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits, dim=1)

    def loss(self, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        if self.weights is None:
            return self._total(logits, targets, smoothing)
        # By the targets before smoothing: a smoothed one holds a share of every class, rare ones included.
        weights = self._shares_of(targets, logits) @ self.weights
        return (self._losses(logits, targets, smoothing) * weights).sum()

    def shares(self, targets: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:
        if targets.ndim > 1:
            return targets.to(dtype)
        # torch's one_hot reads the labels back to check them, except on CUDA
        return (targets[:, None] == torch.arange(n_classes, device=targets.device)).to(dtype)

    def _total(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        return F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)

    def _losses(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        """Return the loss of each image, [n]."""
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)

    def _shares_of(self, targets: Tensor, logits: Tensor) -> Tensor:
        return self.shares(targets, logits.shape[1], logits.dtype)


class _Focal(_OneClass):
    """Cross-entropy whose terms are multiplied by the squared probability of the other classes.

    Source: Lin et al. 2017 (arXiv:1708.02002), equation 4, with softmax in the place of the sigmoid.
    """

    def _total(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        return self._losses(logits, targets, smoothing).sum()

    def _losses(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        shares = _smoothed(self._shares_of(targets, logits), smoothing, logits.shape[1])
        logs = F.log_softmax(logits, dim=1)
        return -(shares * logs * (1 - logs.exp()) ** GAMMA).sum(dim=1)


class _ExclusiveBinary(_OneClass):
    """Binary cross-entropy, the mean over the classes: each class is told apart from all others.

    Source: Wightman et al. 2021 (arXiv:2110.00476).
    """

    def probabilities(self, logits: Tensor) -> Tensor:
        return torch.softmax(F.logsigmoid(logits), dim=1)  # sigmoids by their sum, without underflow

    def _total(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        return self._losses(logits, targets, smoothing).sum()

    def _losses(self, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        smooth = _smoothed(self._shares_of(targets, logits), smoothing, logits.shape[1])
        return F.binary_cross_entropy_with_logits(logits, smooth, reduction="none").mean(dim=1)


class _IndependentLabels:
    """Sigmoid and binary cross-entropy, the mean over the labels of an image.

    Smoothing moves a target towards one half, as it moves a class towards an equal share. A weight multiplies
    the terms of images that have its label.
    """

    def __init__(self, weights: Tensor | None) -> None:
        self.weights = weights

    def probabilities(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits)

    def loss(self, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        terms = self._terms(logits, _smoothed(targets.to(logits.dtype), smoothing, 2))
        if self.weights is not None:  # by the targets before smoothing, as for one class
            terms = terms * (1 + (self.weights - 1) * targets.to(terms.dtype))
        return terms.sum() / logits.shape[1]

    def shares(self, targets: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:  # noqa: ARG002
        return targets.to(dtype)

    def _terms(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each image and label, [n, labels]."""
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


class _IndependentFocal(_IndependentLabels):
    """The focal loss of Lin et al. 2017 without its constant weight, the mean over the labels of an image."""

    def _terms(self, logits: Tensor, targets: Tensor) -> Tensor:
        losses: Tensor = sigmoid_focal_loss(logits, targets, alpha=-1, gamma=GAMMA)
        return losses


def _smoothed(shares: Tensor, smoothing: float, n_outcomes: int) -> Tensor:
    """Move shares towards equal ones of `n_outcomes`."""
    return shares * (1 - smoothing) + smoothing / n_outcomes


_ONE_CLASS: Mapping[str, Callable[[Tensor | None], Objective]] = {
    "cross_entropy": _OneClass,
    "focal": _Focal,
    "bce": _ExclusiveBinary,
}
_INDEPENDENT: Mapping[str, Callable[[Tensor | None], Objective]] = {
    "bce": _IndependentLabels,
    "focal": _IndependentFocal,
}


def objective_of(task: Task | None = None, loss: str = "auto", weights: Tensor | None = None) -> Objective:
    """Return the objective of a task.

    Args:
        task: What the labels are; None: one class an image.
        loss: A member's `loss`.
        weights: Weights of the classes, float32 [classes] on the logits' device; with several labels, of
            their positive images. None: equal weights.

    Raises:
        InputError: The loss is one of another task.
    """
    task = task or Task.of(None)
    objectives = _INDEPENDENT if task.independent else _ONE_CLASS
    return objectives[task.loss_of(loss)](weights)
