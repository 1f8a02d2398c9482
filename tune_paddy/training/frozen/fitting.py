"""Fit the head of a network to the features of its body, in place."""

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_paddy.core.tasks.task import Task
from tune_paddy.training.frozen.embedding import Embedder
from tune_paddy.training.frozen.logistic import Examples, Fitter, Head
from tune_paddy.training.networks.heads import LinearHead
from tune_paddy.training.objective import objective_of


def fit_head(
    embedder: Embedder,
    paths: list[str],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    n_classes: int,
    task: Task | None = None,
    targets: NDArray[np.float32] | None = None,
    symmetries: int | None = None,
) -> tuple[Head, int]:
    """Embed training images, and fit the linear head of the embedder's network to their features.

    The fit runs on the CPU, so that it takes no memory of a GPU and its result does not depend on one.

    Args:
        embedder: Network with its images.
        paths: Training images of the member.
        labels: Their labels, as the task encodes them.
        groups: int64 [images], equal for images that stay on one side of a split; empty: all are alone.
        n_classes: Number of classes.
        task: What the labels are; None: one class an image.
        targets: Shares of the classes to fit to instead of the labels, float32 [images, classes].
        symmetries: Number of symmetries of each image to fit to; None: all.

    Returns:
        The head, and the number of images whose features were computed, not read from the cache.

    Raises:
        DivergedError: Features are not finite.
        ImageError: A file cannot be read as an image.
    """
    config = embedder.config
    embedding = embedder.embed(paths, symmetries)
    fitter = Fitter(n_classes, objective_of(task), config.label_smoothing, config.seed, embedder.alive)
    fitted = fitter.fit(Examples(embedding.features, labels, groups, targets))
    _store(cast("LinearHead", embedder.model[1]).linear, fitted)
    return fitted, embedding.computed


@torch.no_grad()
def _store(layer: nn.Linear, fitted: Head) -> None:
    layer.weight.copy_(fitted.weight)
    layer.bias.copy_(fitted.bias)
