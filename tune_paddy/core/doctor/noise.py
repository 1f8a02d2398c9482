"""Wrong labels among given ones: how many there are, and how likely each of them is wrong.

A model's own mistakes look like wrong labels. Two things tell them apart. Its probabilities, with a fitted
temperature, say how often it is mistaken: what is beyond that is noise. And where it is most certain, its
mistakes become rare, while the share of wrong labels stays. Images that belong together vote on each other's
labels, as far as such images agree (see `together`).

Sources: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR
2021 (out-of-sample votes; a joint distribution of given and true labels, class by class); Dawid and Skene,
"Maximum likelihood estimation of observer error-rates using the EM algorithm", JRSS C 1979 (its fit). The
test against a model without noise is an addition of this project.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from tune_paddy.core.checks import check_pool
from tune_paddy.core.doctor.together import Together, together
from tune_paddy.core.folds import Groups
from tune_paddy.core.metrics import EPS
from tune_paddy.core.pooling import softmax
from tune_paddy.core.tasks.arrays import Labels

Probs = NDArray[np.float64]

LEAST_EVIDENCE = 12.12
"""Twice the gain in log likelihood from which noise is established; each of two kinds of noise exceeds it by
chance once in 2,000 times."""
LEAST_SHARE = 0.005
"""Share of wrong labels below which noise is too rare to matter, and too rare to tell from odd images."""

_ROUNDS = 30
_PRIOR = 10.0
"""Weight of the fitted kind of noise against what single classes show, in images per class and class."""
_STARTS = np.array([(0.0, -3.0, 1.0), (-1.0, -3.0, 3.0)])
"""Logarithm of the temperature, and log odds of the share of wrong labels and of the agreement of groups."""
_BOUNDS = np.array([(-4.0, 4.0), (-20.0, 3.0), (-20.0, 7.0)])
"""Bounds of these. A parameter that is not fitted has the lower one."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Estimated noise of labels.

    Attributes:
        share: Share of labels that are wrong, 0 to 1.
        evidence: Twice the log likelihood that noise adds to a model without it; 0: none.
        temperature: Temperature that makes the predictions fit the labels, besides the noise.
        agreement: Share of images that have the class of their group, 0 to 1; 0 without groups.
        wrong: float64 [images], probability that the given label is wrong.
        likelier: int64 [images], most probable other class.
    """

    share: float
    evidence: float
    temperature: float
    agreement: float
    wrong: Probs
    likelier: NDArray[np.int64]

    @property
    def conspicuous(self) -> bool:
        """Whether labels contradict the predictions more often than the predictions' doubt explains."""
        return self.evidence > LEAST_EVIDENCE and self.share >= LEAST_SHARE

    @property
    def count(self) -> int:
        """Estimated number of wrong labels; 0 unless noise is conspicuous."""
        return max(1, round(self.share * len(self.wrong))) if self.conspicuous else 0


@dataclass(frozen=True)
class _Fit:
    """Fitted parameters of one kind of noise, and the evidence for it."""

    temperature: float
    share: float
    agreement: float
    evidence: float


def find_noise(probs: Probs, labels: Labels, groups: Groups | None = None) -> Noise:
    """Estimate the noise of labels from predictions of models that have not seen them.

    Args:
        probs: float64 [images, classes], out-of-sample probabilities.
        labels: int [images], given labels.
        groups: int [images], equal values for images that belong together; None: every image is alone.

    Raises:
        InputError: The arrays do not match, or there are no images.
    """
    check_pool(probs[None], labels)
    logs = np.log(np.maximum(probs, EPS))
    grouped = together(groups, labels, probs.shape[1])
    kinds = (_uniform(probs.shape[1]), _confusion(probs))
    fits = [_fit(logs, labels, kind, grouped) for kind in kinds]
    best = int(np.argmax([fit.evidence for fit in fits]))
    truth = _true_classes(logs, labels, kinds[best], fits[best], grouped)
    rows = np.arange(len(labels))
    others = truth.copy()
    others[rows, labels] = -1
    return Noise(
        share=fits[best].share,
        evidence=fits[best].evidence,
        temperature=fits[best].temperature,
        agreement=fits[best].agreement,
        wrong=1 - truth[rows, labels],
        likelier=others.argmax(axis=1),
    )


def _uniform(n_classes: int) -> Probs:
    """Return the rates of wrong labels that fall on all other classes alike [true classes, given classes]."""
    return np.asarray((1 - np.eye(n_classes)) / (n_classes - 1))


def _confusion(probs: Probs) -> Probs:
    """Return the rates of wrong labels that fall on classes as the predictions mix them up."""
    mixed = probs.T @ probs
    np.fill_diagonal(mixed, 0)
    return np.asarray(mixed / np.maximum(mixed.sum(axis=1, keepdims=True), EPS))


def _fit(logs: Probs, labels: Labels, rates: Probs, grouped: Together) -> _Fit:
    """Fit temperature, share of wrong labels and agreement of groups, for wrong labels at some rates."""
    right, wrong = np.eye(logs.shape[1])[labels], rates[:, labels].T

    def loss(values: Probs) -> float:
        share, agreement = _logistic(values[1:])
        own = softmax(logs / np.exp(values[0]))
        return -grouped.log_likelihood(own, (1 - share) * right + share * wrong, agreement) / len(labels)

    found, lowest = _minimise(loss, np.array([True, True, grouped.divided]))
    _, without = _minimise(loss, np.array([True, False, grouped.divided]))
    share, agreement = _logistic(found[1:])
    return _Fit(float(np.exp(found[0])), share, agreement, max(0.0, 2 * len(labels) * (without - lowest)))


def _logistic(odds: Probs) -> tuple[float, ...]:
    return tuple(float(value) for value in expit(odds))


def _minimise(loss: Callable[[Probs], float], free: NDArray[np.bool_]) -> tuple[Probs, float]:
    """Return the best parameters, of which only the free ones are fitted, and their loss."""

    def of_free(values: Probs) -> Probs:
        whole = _BOUNDS[:, 0].copy()
        whole[free] = values
        return whole

    fits = [
        minimize(
            lambda values: loss(of_free(values)),
            start,
            method="L-BFGS-B",
            bounds=_BOUNDS[free],
        )
        for start in np.unique(_STARTS[:, free], axis=0)
    ]
    best = min(fits, key=lambda fit: float(fit.fun))
    return of_free(best.x), float(best.fun)


def _true_classes(logs: Probs, labels: Labels, rates: Probs, fit: _Fit, grouped: Together) -> Probs:
    """Return the probability of each class to be the true one, given prediction and label [images, classes].

    The rates at which true classes are labelled as others are fitted together with it.
    """
    own, n_classes = softmax(logs / fit.temperature), logs.shape[1]
    share = max(fit.share, LEAST_SHARE)
    start = share * rates + (1 - share) * np.eye(n_classes)
    given, rates = np.eye(n_classes)[labels], start
    for _ in range(_ROUNDS):
        truth = grouped.true_classes(own, rates[:, labels].T, fit.agreement)
        counts = truth.T @ given + _PRIOR * n_classes * start
        rates = counts / counts.sum(axis=1, keepdims=True)
    return grouped.true_classes(own, rates[:, labels].T, fit.agreement)
