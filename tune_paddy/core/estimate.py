"""Honest scores: cross-fitted estimates with an interval, and paired comparisons on the same images.

The score of a selection on the images that it was fitted on is optimistic. This module refits the
selection on parts of the images and scores it on the rest, so that every image is predicted by an
ensemble that has not seen it. The refit includes the choice of the method, where there is one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.checks import check_pool
from tune_paddy.core.errors import InputError
from tune_paddy.core.folds import Groups, count_independent, stratified_folds
from tune_paddy.core.metrics import get_metric, per_image
from tune_paddy.core.scores.decided import decided
from tune_paddy.core.scores.thresholds import is_thresholded
from tune_paddy.core.selection.decisions import fit_decisions, scored
from tune_paddy.core.selection.plain import best_single, uniform_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.task import Task

Fit = Callable[..., Selection]
"""Selection function of float32 [views, images, classes], labels int [images] and, where images belong
together, groups int [images]."""

FOLDS = 5
RESAMPLES = 1000
_AT_ONCE = 50
"""Number of bootstrap samples held in memory."""
RARE = 0.01
"""Probability given to the true class in a mistake too rare to show on a small split."""
_NORMAL = 1.959964
"""97.5 % point of the standard normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """Estimate of the metric on images that the selection has not seen.

    Attributes:
        score: Metric of the cross-fitted predictions.
        standard_error: Sampling error of the score over the images.
        low: Lower end of the 95 % interval.
        high: Upper end of the interval.
    """

    score: float
    standard_error: float
    low: float
    high: float

    def __repr__(self) -> str:
        return (
            f"Estimate(score={self.score:.4f}, standard_error={self.standard_error:.4f}, "
            f"low={self.low:.4f}, high={self.high:.4f})"
        )


@dataclass(frozen=True)
class Comparison:
    """Paired comparison of the ensemble with a rival on the same images.

    Attributes:
        rival: Name of the rival.
        rival_score: Cross-fitted score of the rival.
        difference: Ensemble's score minus the rival's; negative: the ensemble is better.
        low: Lower end of the difference's 95 % interval.
        high: Upper end of the interval.
        better: Share of bootstrap samples in which the ensemble is better; a tie counts half.
    """

    rival: str
    rival_score: float
    difference: float
    low: float
    high: float
    better: float


@dataclass(frozen=True, eq=False)
class Assessment:
    """Honest assessment of an ensemble: an estimate of its score and comparisons with rivals.

    Attributes:
        estimate: Estimate of the score.
        comparisons: One comparison per rival.
        predictions: float64 [images, classes], the cross-fitted predictions behind the score.
        decided: float64 [images, classes], what decides: the same, or, where thresholds were fitted,
            cross-fitted decisions as 0 and 1; None: the predictions.
    """

    estimate: Estimate
    comparisons: tuple[Comparison, ...]
    predictions: NDArray[np.float64] = field(repr=False)
    decided: NDArray[np.float64] | None = field(default=None, repr=False)

    @property
    def decisions(self) -> NDArray[np.float64]:
        """Cross-fitted decisions, or the predictions that decide, float64 [images, classes]."""
        return self.predictions if self.decided is None else self.decided

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as plain numbers, for JSON, without the predictions."""
        return {
            "estimate": vars(self.estimate),
            "comparisons": [vars(comparison) for comparison in self.comparisons],
        }


def assess(
    probs: Floats,
    labels: Labels,
    fit: Fit,
    *,
    metric: str = "log_loss",
    seed: int = 0,
    task: Task | None = None,
    groups: Groups | None = None,
) -> Assessment:
    """Estimate the score of the selection `fit`, and compare it with the best view and the uniform mean.

    Where the metric judges decisions by fitted thresholds, they are fitted without the images that are
    scored, for the rivals too.

    Args:
        probs: float32 [views, images, classes].
        labels: int [images], or 0 and 1, [images, labels].
        fit: Selection function, with all its choices.
        metric: A key of `METRICS`.
        seed: Seed of the folds and of the bootstrap.
        task: What the labels are; None: what their array shows.
        groups: int [images], equal values for images that stay in one fold and are drawn together; None:
            every image is alone.

    Raises:
        InputError: The pool is invalid, or has a single image or group.
    """
    task = task or Task.of_labels(labels)
    rivals: dict[str, Fit] = {
        "best_single": lambda part, truth, *_: best_single(part, truth, metric=metric),
        "uniform": lambda part, truth, *_: uniform_select(part, truth, metric=metric),
    }
    own = _cross_fits(probs, labels, with_thresholds(fit, metric, task), seed, groups=groups)
    others = {
        name: _cross_fits(probs, labels, with_thresholds(rival, metric, task), seed, groups=groups).judged
        for name, rival in rivals.items()
    }
    return Assessment(
        estimate(own.judged, labels, metric=metric, seed=seed, groups=groups),
        compare_paired(own.judged, others, labels, metric=metric, seed=seed, groups=groups),
        own.blended,
        own.judged,
    )


def with_thresholds(fit: Fit, metric: str, task: Task) -> Fit:
    """Return the selection function that also fits thresholds of decisions, where the metric needs them."""
    if not is_thresholded(metric, task):
        return fit

    return lambda probs, labels, *groups: fit_decisions(fit(probs, labels, *groups), probs, labels, task)


@dataclass(frozen=True)
class _CrossFit:
    """Predictions of every image by a selection that was fitted without it, both float64 [images, classes].

    Attributes:
        blended: Probabilities.
        judged: What the metric judges: the same, or decisions by fitted thresholds, as 0 and 1.
    """

    blended: NDArray[np.float64]
    judged: NDArray[np.float64]


def cross_fit(
    probs: Floats,
    labels: Labels,
    fit: Fit,
    *,
    seed: int = 0,
    folds: int = FOLDS,
    groups: Groups | None = None,
) -> NDArray[np.float64]:
    """Predict every image with a selection that was fitted without it.

    Args:
        probs: float32 [views, images, classes].
        labels: int [images].
        fit: Selection function.
        seed: Seed of the folds; equal seeds give every `fit` the same folds.
        folds: Number of folds; each is predicted by a selection on the others.
        groups: int [images], equal values for images of one fold; None: every image is alone.

    Returns:
        Predictions, float64 [images, classes].

    Raises:
        InputError: The pool is invalid, or has a single image or group.
    """
    return _cross_fits(probs, labels, fit, seed, folds=folds, groups=groups).blended


def _cross_fits(
    probs: Floats,
    labels: Labels,
    fit: Fit,
    seed: int,
    *,
    folds: int = FOLDS,
    groups: Groups | None = None,
) -> _CrossFit:
    check_pool(probs, labels)
    if count_independent(labels, groups) < 2:  # noqa: PLR2004 one image to fit on, one to score
        raise InputError(
            "a single image or group cannot be both fitted on and scored: the estimate needs two"
        )
    fold = stratified_folds(labels, folds, np.random.default_rng(seed), groups)
    blended, judged = np.empty(probs.shape[1:]), np.empty(probs.shape[1:])
    for number in np.unique(fold):
        fitted, held = fold != number, fold == number
        together = () if groups is None else (groups[fitted],)
        selection = fit(probs[:, fitted], labels[fitted], *together)
        blended[held] = selection.blend(probs[:, held])
        judged[held] = scored(selection, blended[held])
    return _CrossFit(blended, judged)


def estimate(
    predictions: NDArray[np.float64],
    labels: Labels,
    *,
    metric: str = "log_loss",
    seed: int = 0,
    groups: Groups | None = None,
) -> Estimate:
    """Score cross-fitted predictions [images, classes], with a 95 % interval.

    The interval is a bootstrap over images, with two corrections for rare mistakes that a small split
    hides. For the error rate it is Wilson's interval, since a bootstrap of images without an error has no
    width. For the log loss, which a single confident mistake can double, the standard error and the upper
    end allow for one more image whose true class has a probability of `RARE`. Images of one group are drawn
    together, since their mistakes are alike, and the interval is never narrower than without groups.
    """
    score = get_metric(metric)(predictions, labels)
    if metric == "error_rate" and labels.ndim == 1:
        low, high = wilson(score, _effective(per_image(metric, predictions, labels), groups))
        return Estimate(score, (high - low) / (2 * _NORMAL), low, high)
    samples = _bootstrap(predictions, labels, metric, seed, groups)
    low, high = _interval(samples)
    if (
        low == high and metric != "log_loss"
    ):  # without a mistake no sample differs, however few images there are
        high = max(high, _most_wrong(predictions, labels, groups))
    hidden = -np.log(RARE) / len(labels) if metric == "log_loss" else 0.0
    error = float(np.hypot(samples.std(ddof=1), hidden))
    return Estimate(score, error, low, score + float(np.hypot(high - score, _NORMAL * hidden)))


def _most_wrong(predictions: NDArray[np.float64], labels: Labels, groups: Groups | None) -> float:
    """Return the upper end of Wilson's 95 % interval of the share of images with a wrong decision."""
    wrong = (decided(predictions, labels) != labels).reshape(len(labels), -1).any(axis=1)
    return wilson(float(wrong.mean()), _effective(wrong.astype(np.float64), groups))[1]


def cross_decide(
    probs: Floats,
    labels: Labels,
    fit: Fit,
    *,
    metric: str,
    task: Task,
    seed: int = 0,
    groups: Groups | None = None,
) -> NDArray[np.float64]:
    """Decide every image by a selection that was fitted without it, float64 [images, classes].

    Args:
        probs: float32 [views, images, classes].
        labels: Labels of the images.
        fit: Selection function.
        metric: Metric of the selection; it says whether decisions need thresholds.
        task: What the labels are.
        seed: Seed of the folds.
        groups: See `cross_fit`.

    Returns:
        Predictions, or decisions as 0 and 1 where the metric needs thresholds.
    """
    return _cross_fits(probs, labels, with_thresholds(fit, metric, task), seed, groups=groups).judged


def compare_paired(
    predictions: NDArray[np.float64],
    rivals: Mapping[str, NDArray[np.float64]],
    labels: Labels,
    *,
    metric: str = "log_loss",
    seed: int = 0,
    groups: Groups | None = None,
) -> tuple[Comparison, ...]:
    """Compare cross-fitted predictions with those of rivals on the same bootstrap samples.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13 (percentiles).

    Args:
        predictions: float64 [images, classes].
        rivals: Name → predictions [images, classes].
        labels: int [images].
        metric: A key of `METRICS`.
        seed: Seed of the bootstrap.
        groups: int [images], equal values for images that are drawn together; None: every image is alone.
    """
    own = _bootstrap(predictions, labels, metric, seed, groups)
    score = get_metric(metric)(predictions, labels)
    comparisons = []
    for name, others in rivals.items():
        rival_score = get_metric(metric)(others, labels)
        differences = own - _bootstrap(others, labels, metric, seed, groups)
        better = float((differences < 0).mean() + (differences == 0).mean() / 2)
        comparisons.append(
            Comparison(name, rival_score, score - rival_score, *_interval(differences), better)
        )
    return tuple(comparisons)


def _bootstrap(
    predictions: NDArray[np.float64], labels: Labels, metric: str, seed: int, groups: Groups | None = None
) -> NDArray[np.float64]:
    """Return the score on each bootstrap sample of the images or groups, float64 [`RESAMPLES`]."""
    rng = np.random.default_rng(seed)
    loss = per_image(metric, predictions, labels)
    score = get_metric(metric)
    samples = np.empty(RESAMPLES)
    for part in range(0, RESAMPLES, _AT_ONCE):
        images = _draw(len(labels), groups, rng)
        samples[part : part + _AT_ONCE] = [
            score(predictions[drawn], labels[drawn]) if loss is None else loss[drawn].mean()
            for drawn in images
        ]
    return samples


def _draw(n: int, groups: Groups | None, rng: np.random.Generator) -> Sequence[NDArray[np.intp]]:
    """Draw `_AT_ONCE` samples of `n` images, or of as many groups as there are; return their images."""
    if groups is None:
        return list(rng.integers(0, n, (_AT_ONCE, n)))
    names = np.unique(groups, return_inverse=True)[1]
    order, sizes = np.argsort(names, kind="stable"), np.bincount(names)
    members = np.split(order, np.cumsum(sizes)[:-1])
    return [
        np.concatenate([members[group] for group in drawn])
        for drawn in rng.integers(0, len(members), (_AT_ONCE, len(members)))
    ]


def _effective(loss: NDArray[np.float64] | None, groups: Groups | None) -> int:
    """Return the number of independent images with the same information on a mean loss as all images.

    Source: the design effect of Kish, "Survey sampling", 1965. Without a mistake it cannot be measured, and
    every group counts as one image.

    Args:
        loss: float64 [images], loss of each image.
        groups: int [images], or None.
    """
    n = 0 if loss is None else len(loss)
    if loss is None or groups is None:
        return n
    names = np.unique(groups, return_inverse=True)[1]
    n_groups = int(names.max()) + 1
    deviations = np.bincount(names, weights=loss - loss.mean())
    clustered = float(np.square(deviations).sum())
    alone = float(np.square(loss - loss.mean()).sum())
    return n_groups if clustered == 0 else round(min(n, max(n_groups, n * alone / clustered)))


def _interval(samples: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(samples, (0.025, 0.975))
    return float(low), float(high)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share observed in `n` images.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    squared = _NORMAL**2
    center = (share + squared / (2 * n)) / (1 + squared / n)
    half = _NORMAL / (1 + squared / n) * np.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    return min(share, float(center - half)), max(share, float(center + half))  # rounding
