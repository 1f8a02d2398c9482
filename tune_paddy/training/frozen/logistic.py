"""Fit a linear head to features: multinomial or independent logistic regression with a chosen penalty.

Cross-validation on the training images alone chooses the penalty, by log loss. Images of one group, and the
symmetric copies of an image, stay on one side.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tune_paddy.core.folds import count_independent, stratified_folds
from tune_paddy.training.objective import Objective

PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Candidate weights of half the squared norm of the coefficients, beside the mean loss; the largest first."""

FOLDS = 3
"""Folds of the inner cross-validation."""

_DEFAULT_PENALTY = 0.03
"""Penalty where too few images leave nothing to choose by."""

_ROUGH, _FINE = 1e-3, 1e-4
"""Largest gradient at which a fit has converged: in the cross-validation, and at last."""

_STEPS, _HISTORY = 200, 30
"""Largest number of L-BFGS steps of one fit, and number of steps that its curvature comes from."""

EVALUATIONS = 250
"""Usual number of evaluations of the loss on all images, in all fits of a member: 2,132 images, 9 classes."""

_CHUNK = 4096
"""Rows whose deviations from the mean are held in float64 at a time."""

_TIMED_ROWS = 1024


@dataclass(frozen=True)
class Examples:
    """Features of training images, and what they are to be fitted to.

    Attributes:
        features: float32 [symmetries, images, features]; the first symmetry is the image itself.
        labels: int64 [images], or 0 and 1, [images, classes].
        groups: int64 [images], equal for images that stay on one side; empty: every image is alone.
        targets: Shares of the classes to fit to instead of the labels, float32 [images, classes], or None.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    targets: NDArray[np.float32] | None = None

    @property
    def wanted(self) -> Tensor:
        """Targets, or the labels without any."""
        return torch.from_numpy(self.labels if self.targets is None else self.targets)


@dataclass(frozen=True)
class Head:
    """Fitted coefficients.

    Attributes:
        weight: float32 [classes, features].
        bias: float32 [classes].
        penalty: Chosen penalty.
        loss: Mean loss of the training images in all symmetries, without the penalty, in nats.
        inner_loss: Mean log loss of the cross-validation at this penalty; nan if there was none.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    loss: float
    inner_loss: float


@dataclass(frozen=True)
class Fitter:
    """Fits heads for one task.

    Attributes:
        n_classes: Number of classes.
        objective: Loss and probabilities of the task.
        smoothing: Label smoothing, 0 to 1; the cross-validation scores without it.
        seed: Seed of the folds.
        alive: Callback for every evaluation of the loss.
    """

    n_classes: int
    objective: Objective
    smoothing: float = 0.0
    seed: int = 0
    alive: Callable[[], None] = field(default=lambda: None)

    def fit(self, examples: Examples) -> Head:
        """Choose the penalty, and fit a head for features as they are: standardisation is part of it."""
        mean, std = _moments(examples.features)
        standard = torch.from_numpy(examples.features - mean).div_(torch.from_numpy(std))
        losses = self._cross_validate(standard, examples)
        best = int(np.argmin(losses)) if len(losses) else PENALTIES.index(_DEFAULT_PENALTY)
        penalty = PENALTIES[best]
        values, targets = _flat(standard, examples.wanted)
        coefficients = self._solve(values, targets, penalty, self._zeros(values), _FINE)
        weight, bias = coefficients[:-1].T, coefficients[-1]
        with torch.no_grad():
            loss = float(self._loss(coefficients, values, targets, self.smoothing))
        scaled = weight / torch.from_numpy(std)
        return Head(
            scaled.contiguous(),
            bias - scaled @ torch.from_numpy(mean),
            penalty,
            loss,
            float(losses[best]) if len(losses) else float("nan"),
        )

    def _cross_validate(self, standard: Tensor, examples: Examples) -> NDArray[np.float64]:
        """Return the mean log loss of held-out images at each penalty; empty if none can be held out."""
        groups = examples.groups if len(examples.groups) else None
        n_folds = min(FOLDS, count_independent(examples.labels, groups))
        if n_folds < 2:  # noqa: PLR2004 one fold is no division
            return np.empty(0)
        rng = np.random.default_rng([self.seed, n_folds])
        folds = torch.from_numpy(stratified_folds(examples.labels, n_folds, rng, groups))
        labels = examples.wanted
        sums = np.zeros(len(PENALTIES))
        for fold in range(n_folds):
            inside = folds == fold
            if inside.any():
                # The copy of the other folds has no name, so that it is freed before the next one is made.
                sums += list(
                    self._path(
                        *_flat(standard[:, ~inside], labels[~inside]), standard[0, inside], labels[inside]
                    )
                )
        return sums / len(labels)

    def _path(self, values: Tensor, targets: Tensor, held: Tensor, wanted: Tensor) -> Iterator[float]:
        """Yield the summed log loss of held-out images at each penalty; inf after the first increase.

        The smallest penalties take the longest to fit.
        """
        coefficients, best, worse = self._zeros(values), np.inf, False
        for penalty in PENALTIES:
            if worse:
                yield np.inf
                continue
            coefficients = self._solve(values, targets, penalty, coefficients, _ROUGH)
            with torch.no_grad():
                loss = float(self._loss(coefficients, held, wanted, 0.0)) * len(held)
            best, worse = min(loss, best), loss > best
            yield loss

    def _solve(
        self, values: Tensor, targets: Tensor, penalty: float, start: Tensor, tolerance: float
    ) -> Tensor:
        """Minimise the penalised mean loss by L-BFGS; return coefficients [features + 1, classes]."""
        coefficients = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS(
            [coefficients],
            max_iter=_STEPS,
            history_size=_HISTORY,
            tolerance_grad=tolerance,
            tolerance_change=1e-9,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            self.alive()
            optimizer.zero_grad()
            loss = self._loss(coefficients, values, targets, self.smoothing)
            total = loss + penalty / 2 * coefficients[:-1].square().sum()
            total.backward()
            return total

        optimizer.step(closure)
        return coefficients.detach()

    def _loss(self, coefficients: Tensor, values: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        logits = torch.addmm(coefficients[-1], values, coefficients[:-1])
        return self.objective.loss(logits, targets, smoothing) / len(values)

    def _zeros(self, values: Tensor) -> Tensor:
        return torch.zeros(values.shape[1] + 1, self.n_classes)


def _moments(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and standard deviation of each feature, float32 [features]; 1 for constant features."""
    mean = features.mean(axis=(0, 1), dtype=np.float64)
    rows = features.reshape(-1, features.shape[-1])
    squares = sum(np.square(rows[at : at + _CHUNK] - mean).sum(axis=0) for at in range(0, len(rows), _CHUNK))
    std = np.sqrt(squares / len(rows))
    constant = std <= 1e-6 * np.maximum(np.abs(mean), 1e-6)  # float32 cannot tell such a spread from rounding
    return mean.astype(np.float32), np.where(constant, 1.0, std).astype(np.float32)


def _flat(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return all symmetries of all images as rows, [symmetries * images, …], with their labels."""
    repeated = labels.repeat(len(features), *[1] * (labels.ndim - 1))
    return features.reshape(-1, features.shape[-1]), repeated


def evaluation_seconds(
    n_features: int, n_classes: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the time of one evaluation of the loss and its gradient, in s per image.

    Args:
        n_features: Number of features.
        n_classes: Number of classes.
        clock: Source of time in seconds.
    """
    values = torch.ones(_TIMED_ROWS, n_features)
    coefficients = torch.zeros(n_features, n_classes, requires_grad=True)
    started = 0.0
    for _ in range(2):  # the first one warms up
        started = clock()
        (values @ coefficients).square().sum().backward()
    return (clock() - started) / _TIMED_ROWS
