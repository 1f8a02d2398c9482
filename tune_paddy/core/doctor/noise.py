"""Wrong labels among given ones: how many there are, and how likely each of them is wrong.

A model's own mistakes look like wrong labels. Two things tell them apart. Its probabilities, with a fitted
temperature, say how often it is mistaken: what is beyond that is noise. And where it is most certain, its
mistakes become rare, while the share of wrong labels stays.

Sources: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR
2021 (out-of-sample votes; a joint distribution of given and true labels, class by class); Dawid and Skene,
"Maximum likelihood estimation of observer error-rates using the EM algorithm", JRSS C 1979 (its fit). The
test against a model without noise is an addition of this project.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tune_paddy.core.checks import check_pool
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
_STARTS = ((0.0, -3.0), (-1.0, -3.0))


@dataclass(frozen=True, eq=False)
class Noise:
    """Estimated noise of labels.

    Attributes:
        share: Share of labels that are wrong, 0 to 1.
        evidence: Twice the log likelihood that noise adds to a model without it; 0: none.
        temperature: Temperature that makes the predictions fit the labels, besides the noise.
        wrong: float64 [images], probability that the given label is wrong.
        likelier: int64 [images], most probable other class.
    """

    share: float
    evidence: float
    temperature: float
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


def find_noise(probs: Probs, labels: Labels) -> Noise:
    """Estimate the noise of labels from predictions of models that have not seen them.

    Args:
        probs: float64 [images, classes], out-of-sample probabilities.
        labels: int [images], given labels.

    Raises:
        InputError: The arrays do not match, or there are no images.
    """
    check_pool(probs[None], labels)
    logs = np.log(np.maximum(probs, EPS))
    kinds = (_uniform(probs.shape[1]), _confusion(probs))
    fits = [_fit(logs, labels, kind) for kind in kinds]
    temperature, share, evidence = fits[best := int(np.argmax([fit[2] for fit in fits]))]
    truth = _true_classes(softmax(logs / temperature), labels, max(share, LEAST_SHARE), kinds[best])
    rows = np.arange(len(labels))
    others = truth.copy()
    others[rows, labels] = -1
    return Noise(
        share=share,
        evidence=evidence,
        temperature=temperature,
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


def _fit(logs: Probs, labels: Labels, rates: Probs) -> tuple[float, float, float]:
    """Return the temperature, the share of labels that are wrong at some rates, and the evidence for them."""
    rows = np.arange(len(labels))

    def loss(values: Probs) -> float:
        own = softmax(logs / np.exp(values[0]))
        share = 1 / (1 + np.exp(-values[1]))
        wrong = (own * rates[:, labels].T).sum(axis=1)
        return -float(np.log(np.maximum((1 - share) * own[rows, labels] + share * wrong, EPS)).mean())

    bounds = [(-4.0, 4.0), (-20.0, 3.0)]
    fits = [minimize(loss, start, method="Nelder-Mead", bounds=bounds) for start in _STARTS]
    best = min(fits, key=lambda fit: float(fit.fun))
    without = minimize(lambda values: loss(np.array([values[0], bounds[1][0]])), [0.0], method="Nelder-Mead")
    evidence = max(0.0, 2 * len(labels) * float(without.fun - best.fun))
    return float(np.exp(best.x[0])), float(1 / (1 + np.exp(-best.x[1]))), evidence


def _true_classes(probs: Probs, labels: Labels, share: float, rates: Probs) -> Probs:
    """Return the probability of each class to be the true one, given prediction and label [images, classes].

    The rates at which true classes are labelled as others are fitted together with it.
    """
    n_classes = probs.shape[1]
    start = share * rates + (1 - share) * np.eye(n_classes)
    given, rates = np.eye(n_classes)[labels], start
    for _ in range(_ROUNDS):
        truth = probs * rates[:, labels].T
        truth /= truth.sum(axis=1, keepdims=True)
        counts = truth.T @ given + _PRIOR * n_classes * start
        rates = counts / counts.sum(axis=1, keepdims=True)
    truth = probs * rates[:, labels].T
    return np.asarray(truth / truth.sum(axis=1, keepdims=True))
