"""Fit of noise: how many answers to one question are wrong, beside the calibration of its predictions.

One class an image is one question, whose answers are the classes; each of several labels is one, with the
answers no and yes (see `core.tasks.outcomes`). The predictions have a temperature and, with two answers, a
level, a shift of their log odds: class weights and rare labels shift predictions, which is no noise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import chi2

from tune_paddy.core.doctor.together import Together
from tune_paddy.core.pooling import softmax
from tune_paddy.core.tasks.arrays import Labels

Probs = NDArray[np.float64]

LEAST_EVIDENCE = 12.12
"""Twice the gain in log likelihood from which noise is established."""

_BY_CHANCE = float(chi2.sf(LEAST_EVIDENCE, 1))
"""Probability that each kind of noise exceeds this by chance, at most: once in 2,000 times."""
_NONE = np.array([-20.0, -20.0, 0.0, 0.0])
"""Parameters that are not fitted: log odds of the share of wrong answers and of the agreement of groups,
logarithm of the temperature, and level."""
_STARTS = np.array([(-3.0, 1.0, 0.0, 0.0), (-3.0, 3.0, -1.0, 0.0)])
_BOUNDS = np.array([(-20.0, 3.0), (-20.0, 7.0), (-4.0, 4.0), (-6.0, 6.0)])
_TWO = 2
_COST = 2.0
"""Evidence that a parameter has to gain (Akaike)."""
_STEP = 1e-4
"""Step of the share for the slopes of the log likelihood."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted parameters of one kind of noise, and the evidence for it.

    Attributes:
        rates: float64 [answers, answers], rates of wrong answers, true ones by given ones.
        share: Factor of the rates, 0 to 1; the share of wrong answers where each row of the rates sums to 1.
        agreement: Share of images that have the answer of their group, 0 to 1.
        own: float64 [images, answers], calibrated predictions.
        evidence: Twice the log likelihood that noise adds to a model without it; 0: none.
        slopes: float64 [groups], slope of the log likelihood of each group's answers along the share.
    """

    rates: Probs
    share: float
    agreement: float
    own: Probs
    evidence: float
    slopes: Probs

    @property
    def wrong_share(self) -> float:
        """Share of answers that are wrong, 0 to 1; 0 if the evidence is what a parameter gains by chance.

        Otherwise the chance of many labels would add up. Source: Akaike, "A new look at the statistical model
        identification", IEEE Transactions on Automatic Control 1974.
        """
        if self.evidence < _COST:
            return 0.0
        return self.share * float((self.own @ self.rates.sum(axis=1)).mean())


@dataclass(frozen=True, eq=False)
class _Model:
    """Given answers, predicted by a calibrated model and made wrong by one kind of noise.

    Attributes:
        logs: float64 [images, answers], logarithms of the predictions.
        given: int [images], given answers.
        rates: float64 [answers, answers], rates of wrong answers.
        grouped: Groups of the images.
    """

    logs: Probs
    given: Labels
    rates: Probs
    grouped: Together

    def calibrated(self, values: Probs) -> Probs:
        """Return the predictions with a temperature and a level."""
        logits = self.logs / np.exp(values[2])
        logits[:, -1] += values[3]
        return softmax(logits)

    def log_likelihoods(self, values: Probs) -> Probs:
        """Return the log likelihood of each group's answers, float64 [groups]."""
        share, agreement = (float(value) for value in expit(values[:2]))
        kept = np.diag(1 - share * self.rates.sum(axis=1))
        heard = np.take(kept + share * self.rates, self.given, axis=1).T
        return self.grouped.log_likelihoods(self.calibrated(values), heard, agreement)

    def best(self, free: NDArray[np.bool_]) -> Probs:
        """Return the best parameters, of which only the free ones are fitted; the better of two starts."""

        def whole(values: Probs) -> Probs:
            filled = _NONE.copy()
            filled[free] = values
            return filled

        def loss(values: Probs) -> float:
            return -float(self.log_likelihoods(whole(values)).mean())

        starts = np.unique(_STARTS[:, free], axis=0)
        fits = [minimize(loss, start, method="L-BFGS-B", bounds=_BOUNDS[free]) for start in starts]
        return whole(min(fits, key=lambda fit: float(fit.fun)).x)


def fit_noise(logs: Probs, given: Labels, kinds: Sequence[Probs], grouped: Together) -> Fit:
    """Fit each kind of noise, and return the one with the most evidence.

    Args:
        logs: float64 [images, answers], logarithms of out-of-sample probabilities.
        given: int [images], given answers.
        kinds: Rates of wrong answers of each kind, float64 [answers, answers], zero on the diagonal; no row
            sums to more than 1.
        grouped: Groups of the images.
    """
    logs = np.asfortranarray(logs)  # sums over few answers are several times faster over whole columns
    free = np.array([True, grouped.divided, True, logs.shape[1] == _TWO])
    without = _Model(logs, given, np.zeros_like(kinds[0]), grouped)
    lowest = float(without.log_likelihoods(without.best(free & [False, True, True, True])).sum())
    models = [_Model(logs, given, rates, grouped) for rates in kinds]
    return max((_fit(model, model.best(free), lowest) for model in models), key=lambda fit: fit.evidence)


def _fit(model: _Model, values: Probs, without: float) -> Fit:
    """Return a fit from its parameters and the log likelihood without noise."""
    share, agreement = (float(value) for value in expit(values[:2]))
    found = model.log_likelihoods(values)
    more = model.log_likelihoods(np.array([logit(share + _STEP), *values[1:]]))
    return Fit(
        rates=model.rates,
        share=share,
        agreement=agreement,
        own=model.calibrated(values),
        evidence=max(0.0, 2 * (float(found.sum()) - without)),
        slopes=(more - found) / _STEP,
    )


def joint_evidence(fits: Iterable[Fit]) -> float:
    """Return the evidence for noise in any of several questions, comparable to that in one.

    It is the sum of theirs, less what as many questions exceed by chance. An odd image contradicts several of
    its labels at once, which says less than as many images: the correlation of the slopes says how much.

    Source: Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics 1946
    (a sum of dependent squares as a multiple of chi-squared with fewer degrees of freedom).
    """
    known = list(fits)
    slopes = np.stack([fit.slopes for fit in known])
    slopes /= np.maximum(np.linalg.norm(slopes, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    scale = max(1.0, float(np.square(slopes @ slopes.T).sum()) / len(known))
    allowed = float(chi2.isf(_BY_CHANCE, len(known) / scale)) - LEAST_EVIDENCE
    return max(0.0, sum(fit.evidence for fit in known) / scale - allowed)
