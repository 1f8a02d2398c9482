"""Honest scores: cross-fitted estimates with an interval, and paired comparisons on the same images.

The score that a selection reached on the images it was made from is optimistic. Here the selection is made again
on parts of the images and scored on the rest, so that every image is predicted by an
ensemble that has not seen it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.checks import check_pool
from tune_paddy.core.folds import stratified_folds
from tune_paddy.core.metrics import Floats, Labels, get_metric
from tune_paddy.core.selection import Selection

Fit = Callable[[Floats, Labels], Selection]
"""Selects from float32 [views, images, classes] and labels int [images]."""

FOLDS = 5
REPEATS = 2
RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """What the metric will be on images that were not selected on.

    Attributes:
        score: Mean over the repeats of the cross-fitted predictions' score.
        standard_error: Standard deviation of it over bootstrap samples of the images.
        low: 2.5 % point of the bootstrap.
        high: 97.5 % point.
    """

    score: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """How the ensemble does beside a rival, on the same images.

    Attributes:
        rival: Its name.
        rival_score: Its cross-fitted score.
        difference: The ensemble's score minus the rival's; negative: the ensemble is better.
        low: 2.5 % point of the difference over bootstrap samples of the images.
        high: 97.5 % point.
        better: Share of the bootstrap samples in which the ensemble is better; a tie counts half.
    """

    rival: str
    rival_score: float
    difference: float
    low: float
    high: float
    better: float


def cross_fit(
    probs: Floats, labels: Labels, fit: Fit, *, seed: int = 0, folds: int = FOLDS, repeats: int = REPEATS
) -> NDArray[np.float64]:
    """Predict every image with a selection that was made without it.

    Args:
        probs: float32 [views, images, classes].
        labels: int [images].
        fit: How to select.
        seed: Of the folds: the same seed gives different `fit`s the same ones.
        folds: Parts of the images; each is predicted from the others.
        repeats: Times that new folds are drawn.

    Returns:
        float64 [repeats, images, classes].

    Raises:
        InputError: The pool cannot be selected from; a class has a single image.
    """
    check_pool(probs, labels)
    rng = np.random.default_rng(seed)
    predictions = np.empty((repeats, *probs.shape[1:]))
    for prediction in predictions:
        fold = stratified_folds(labels, folds, rng)
        for number in np.unique(fold):
            fitted, held = fold != number, fold == number
            selection = fit(probs[:, fitted], labels[fitted])
            prediction[held] = selection.blend(probs[:, held])
    return predictions


def estimate(
    predictions: NDArray[np.float64], labels: Labels, *, metric: str = "log_loss", seed: int = 0
) -> Estimate:
    """Score cross-fitted predictions [repeats, images, classes], with a bootstrap interval."""
    samples = _bootstrap(predictions, labels, metric, seed)
    low, high = np.quantile(samples, (0.025, 0.975))
    score = _mean_score(predictions, labels, metric)
    return Estimate(score, float(samples.std(ddof=1)), float(low), float(high))


def compare_paired(
    predictions: NDArray[np.float64],
    rivals: Mapping[str, NDArray[np.float64]],
    labels: Labels,
    *,
    metric: str = "log_loss",
    seed: int = 0,
) -> tuple[Comparison, ...]:
    """Compare cross-fitted predictions with those of rivals; all see the same bootstrap samples.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13 (percentiles).

    Args:
        predictions: float64 [repeats, images, classes].
        rivals: Name → predictions; [1, images, classes] for what is not fitted.
        labels: int [images].
        metric: A key of `METRICS`.
        seed: Of the samples.
    """
    own = _bootstrap(predictions, labels, metric, seed)
    score = _mean_score(predictions, labels, metric)
    comparisons = []
    for name, others in rivals.items():
        differences = own - _bootstrap(others, labels, metric, seed)
        rival_score = _mean_score(others, labels, metric)
        low, high = np.quantile(differences, (0.025, 0.975))
        better = float((differences < 0).mean() + (differences == 0).mean() / 2)
        comparisons.append(
            Comparison(name, rival_score, score - rival_score, float(low), float(high), better)
        )
    return tuple(comparisons)


def _bootstrap(
    predictions: NDArray[np.float64], labels: Labels, metric: str, seed: int
) -> NDArray[np.float64]:
    """Mean score over the repeats on each sample of the images, float64 [`RESAMPLES`]."""
    rng = np.random.default_rng(seed)
    samples = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        images = rng.integers(0, len(labels), len(labels))
        samples[number] = _mean_score(predictions[:, images], labels[images], metric)
    return samples


def _mean_score(predictions: NDArray[np.float64], labels: Labels, metric: str) -> float:
    score = get_metric(metric)
    return float(np.mean([score(prediction, labels) for prediction in predictions]))
