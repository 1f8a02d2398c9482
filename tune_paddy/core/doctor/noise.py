"""Wrong labels among given ones: how many there are, and how likely each of them is wrong.

A model's own mistakes look like wrong labels. Two things tell them apart. Its probabilities, with a fitted
temperature, say how often it is mistaken: what is beyond that is noise. And where it is most certain, its
mistakes become rare, while the share of wrong labels stays. Images that belong together vote on each other's
labels, as far as such images agree (see `together`).

Of several labels an image, each is judged on its own: it is there or not, and either may be wrong.

Sources: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR
2021 (out-of-sample votes; a joint distribution of given and true labels, class by class); Dawid and Skene,
"Maximum likelihood estimation of observer error-rates using the EM algorithm", JRSS C 1979 (its fit);
Thyagarajan, Snorrason, Northcutt and Mueller, "Identifying incorrect annotations in multi-label
classification data", 2022 (one question a label, and the rank of an image by its most doubtful one). The test
against a model without noise is an addition of this project.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.checks import check_pool
from tune_paddy.core.doctor.fit import LEAST_EVIDENCE, Fit, fit_noise, joint_evidence
from tune_paddy.core.doctor.together import Together, together
from tune_paddy.core.folds import Groups
from tune_paddy.core.metrics import EPS
from tune_paddy.core.tasks.arrays import Labels
from tune_paddy.core.tasks.outcomes import as_labels, as_questions

Probs = NDArray[np.float64]

LEAST_SHARE = 0.005
"""Share of images with wrong labels below which noise is too rare to matter, and too rare to tell from odd
images."""

_ROUNDS = 30
_PRIOR = 10.0
"""Weight of the fitted kind of noise against what single classes show, in images per class and class."""
_ONE_WAY = np.array([[0.0, 0.01], [1.0, 0.0]])
"""Rates of missing labels, true by given answers; the other mistake is rarer, but possible."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Estimated noise of labels.

    Attributes:
        share: Share of images whose label, or one of whose labels, is wrong, 0 to 1.
        evidence: Twice the log likelihood that noise adds to a model without it; 0: none. For several labels
            see `joint_evidence`.
        agreement: Share of images that have the class of their group, 0 to 1; 0 without groups. Of several
            labels it is their mean.
        answers: float64 [questions, images], probability that a given answer is wrong. One class an image is
            one question; each of several labels is one, with the answers no and yes.
        wrong: float64 [images], probability that the given label is wrong, or that the most doubtful one of
            several labels is.
        likelier: Likelier labels, in the form of the given ones: the most probable other class, or all labels
            that are more probable than not, with at least one change.
    """

    share: float
    evidence: float
    agreement: float
    answers: Probs
    wrong: Probs
    likelier: Labels

    @property
    def conspicuous(self) -> bool:
        """Whether labels contradict the predictions more often than the predictions' doubt explains."""
        return self.evidence > LEAST_EVIDENCE and self.share >= LEAST_SHARE

    @property
    def count(self) -> int:
        """Estimated number of images with wrong labels; 0 unless noise is conspicuous."""
        return max(1, round(self.share * len(self.wrong))) if self.conspicuous else 0


def find_noise(probs: Probs, labels: Labels, groups: Groups | None = None) -> Noise:
    """Estimate the noise of labels from predictions of models that have not seen them.

    Args:
        probs: float64 [images, classes], out-of-sample probabilities.
        labels: int [images], given labels; several of an image as 0 and 1, [images, labels].
        groups: int [images], equal values for images that belong together; None: every image is alone.

    Raises:
        InputError: The arrays do not match, or there are no images.
    """
    check_pool(probs[None], labels)
    asked, given = as_questions(probs, labels)
    fits, true = zip(*(_judge(own, its, groups) for own, its in zip(asked, given, strict=True)), strict=True)
    truth = np.stack(true)
    wrong = 1 - np.take_along_axis(truth, given[..., None], axis=2)[..., 0]
    return Noise(
        share=sum(fit.wrong_share for fit in fits) * _images_per_answer(wrong),
        evidence=joint_evidence(fits),
        agreement=float(np.mean([fit.agreement for fit in fits])),
        answers=wrong,
        wrong=np.asarray(wrong.max(axis=0)),
        likelier=as_labels(_likelier(truth, given), labels),
    )


def _judge(probs: Probs, given: Labels, groups: Groups | None) -> tuple[Fit, Probs]:
    """Return the noise of one question, and the probability of each answer to be true [images, answers]."""
    grouped = together(groups, given, probs.shape[1])
    fit = fit_noise(np.log(np.maximum(probs, EPS)), given, _kinds(probs), grouped)
    return fit, _true_answers(fit, given, grouped)


def _kinds(probs: Probs) -> list[Probs]:
    """Return the rates of each kind of noise, [true answers, given answers].

    Args:
        probs: float64 [images, answers], predictions of the question.
    """
    n_answers = probs.shape[1]
    uniform = (1 - np.eye(n_answers)) / (n_answers - 1)
    two = n_answers == 2  # noqa: PLR2004 no and yes, which are mixed up in one way or the other
    return [uniform, _ONE_WAY, _ONE_WAY[::-1, ::-1]] if two else [uniform, _confusion(probs)]


def _confusion(probs: Probs) -> Probs:
    """Return the rates of wrong labels that fall on classes as the predictions mix them up."""
    mixed = probs.T @ probs
    np.fill_diagonal(mixed, 0)
    return np.asarray(mixed / np.maximum(mixed.sum(axis=1, keepdims=True), EPS))


def _true_answers(fit: Fit, given: Labels, grouped: Together) -> Probs:
    """Return the probability of each answer to be the true one, given prediction and label [images, answers].

    The rates at which true answers are given as others are fitted together with it.
    """
    own, n_answers = fit.own, fit.own.shape[1]
    share = max(fit.share, LEAST_SHARE)
    start = share * fit.rates + np.diag(1 - share * fit.rates.sum(axis=1))
    labels, rates = np.eye(n_answers)[given], start
    for _ in range(_ROUNDS):
        truth = grouped.true_classes(own, rates[:, given].T, fit.agreement)
        counts = truth.T @ labels + _PRIOR * n_answers * start
        rates = counts / counts.sum(axis=1, keepdims=True)
    return grouped.true_classes(own, rates[:, given].T, fit.agreement)


def _images_per_answer(wrong: Probs) -> float:
    """Return the expected number of images with a wrong answer for each wrong answer, at most 1."""
    total = float(wrong.sum())
    return float((1 - np.prod(1 - wrong, axis=0)).sum()) / total if total else 1.0


def _likelier(truth: Probs, given: Labels) -> Labels:
    """Return likelier answers [questions, images], which differ from the given ones in at least one."""
    others = truth.copy()
    np.put_along_axis(others, given[..., None], -1, axis=2)
    other, odds = others.argmax(axis=2), others.max(axis=2)
    own = np.take_along_axis(truth, given[..., None], axis=2)[..., 0]
    changed = (odds > own) | (odds == odds.max(axis=0))
    return np.where(changed, other, given)
