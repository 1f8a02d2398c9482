"""What a network's output means for a task: its probabilities, its loss, and the targets of mixed images."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from tune_paddy.core.tasks.task import Task


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

    def shares(self, labels: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:
        """Return the share of each class in each image, [n, classes], from its labels."""


class _OneClass:
    """Softmax and cross-entropy."""

    def probabilities(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits, dim=1)

    def loss(self, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        return F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)

    def shares(self, labels: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:
        # torch's one_hot reads the labels back to check them, except on CUDA
        return (labels[:, None] == torch.arange(n_classes, device=labels.device)).to(dtype)


class _IndependentLabels:
    """Sigmoid and binary cross-entropy, the mean over the labels of an image.

    Smoothing moves a target towards one half, as it moves a class towards an equal share.
    """

    def probabilities(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits)

    def loss(self, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        smooth = targets.to(logits.dtype) * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, smooth, reduction="sum") / logits.shape[1]

    def shares(self, labels: Tensor, n_classes: int, dtype: torch.dtype) -> Tensor:  # noqa: ARG002
        return labels.to(dtype)


_ONE_CLASS, _INDEPENDENT = _OneClass(), _IndependentLabels()


def objective_of(task: Task | None = None) -> Objective:
    """Return the objective of a task; None: one class an image."""
    return _INDEPENDENT if task is not None and task.independent else _ONE_CLASS
