"""Greedy rounds on the error rate, plain or weighted: exact, and fast since few images can change.

With S the sum of the views chosen so far, an image's lead is S of its true class minus S of its
rival, the strongest other class. Adding a view changes the lead by at least the view's own margin, and
by at most its true-class value minus its value at the rival. The two bounds decide most images for all
candidates at once, and most of the rest for one candidate. Only the candidates that may still be the
best are evaluated, on the undecided images.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.selection.greedy import TIE, Pick
from tune_paddy.core.selection.greedy_log_loss import LogLossScorer
from tune_paddy.core.tasks.arrays import Floats, Labels

SLACK = 1e-6
"""Generous allowance for the rounding of float32 probabilities in a bound."""
_CHUNK = 1 << 18
"""Number of values processed at once."""
_BATCH = 16
"""Number of candidates evaluated at once."""


class ErrorScorer:
    """Scores every candidate's next round on the weighted share of wrong images; ties go to the log loss.

    It holds two float32 arrays [images, views] besides the pool.

    Args:
        probs: float32 [views, images, classes].
        labels: int [images].
        rows: The pool's `true_class_rows`.
        image_weights: float64 [images], sum 1: equal for the error rate, `class_balance` for the balanced
            error.
    """

    def __init__(
        self, probs: Floats, labels: Labels, rows: Floats, image_weights: NDArray[np.float64]
    ) -> None:
        self._probs = probs
        self._labels = labels
        self._image_weights = image_weights
        self._log_loss = LogLossScorer(rows)
        self._rows = rows
        self._highest_own = rows.max(axis=0)
        self._margins = _all_margins(probs, labels)
        self._lowest_margin = self._margins.min(axis=1)
        self._differences = np.empty_like(self._margins)
        self._differences_to = np.full(len(labels), -1)
        self._sum = np.zeros((probs.shape[2], probs.shape[1]))
        self._rounds = 0

    def best(self) -> Pick:
        """Return the candidate with the lowest error; ties go to the log loss, then the lowest index."""
        scores = self._later_scores() if self._rounds else self._first_scores()
        return self._log_loss.break_tie(scores)

    def add(self, view: int) -> None:
        """Add a view to the sum."""
        self._sum += self._probs[view].T
        self._rounds += 1
        self._log_loss.add(view)

    def _first_scores(self) -> NDArray[np.float64]:
        """Return the error of each view alone, float64 [views]."""
        errors = np.zeros(len(self._probs))
        for part in _chunks(len(self._labels), self._probs[:, 0].size):
            wrong = self._margins[part] < 0
            images, views = np.nonzero(self._margins[part] == 0)
            tied = self._probs[views, images + part.start].argmax(axis=1)
            wrong[images, views] = tied != self._labels[part][images]
            errors += self._image_weights[part] @ wrong
        return errors

    def _later_scores(self) -> NDArray[np.float64]:
        """Return the error with each view added, float64 [views]; infinite if another is surely better."""
        lead, rival = _leads(self._sum, self._labels)
        lost = lead + self._highest_own < -SLACK
        images = np.flatnonzero((lead + self._lowest_margin <= SLACK) & ~lost)
        certain = float(self._image_weights[lost].sum())
        if len(self._probs) <= _BATCH:  # bounds cost more than they save
            return certain + self._evaluate(np.arange(len(self._probs)), images)
        self._refresh_differences(images, rival[images])
        least, most = self._bounds(images, lead[images])
        return certain + self._evaluate_promising(images, least, float(most.min()))

    def _refresh_differences(self, images: NDArray[np.intp], rival: NDArray[np.intp]) -> None:
        """Update true-class value minus rival value for images whose rival has changed."""
        stale = self._differences_to[images] != rival
        self._differences_to[images] = rival
        images, rival = images[stale], rival[stale]
        for part in _chunks(len(images), len(self._probs)):
            i, c = images[part], rival[part]
            self._differences[i] = (self._rows[:, i] - self._probs[:, i, c]).T

    def _bounds(
        self, images: NDArray[np.intp], lead: Floats
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return bounds of each view's error on the undecided `images`, float64 [views] each."""
        least, most = np.zeros((2, len(self._probs)))
        need = -lead.astype(np.float32)[:, None]
        for part in _chunks(len(images), len(self._probs)):
            weights = self._image_weights[images[part]]
            least += weights @ (self._differences[images[part]] < need[part] - SLACK)
            most += weights @ (self._margins[images[part]] <= need[part] + SLACK)
        return least, most

    def _evaluate_promising(
        self, images: NDArray[np.intp], least: NDArray[np.float64], limit: float
    ) -> NDArray[np.float64]:
        """Return the error on the undecided `images`, float64 [views]; infinite where `least` is too high."""
        errors = np.full(len(least), np.inf)
        queue = np.argsort(least, kind="stable")
        for part in _chunks(len(queue), _CHUNK // _BATCH):
            views = queue[part][least[queue[part]] <= limit + TIE]
            if not len(views):
                break
            errors[views] = self._evaluate(views, images)
            limit = min(limit, errors[views].min())
        return errors

    def _evaluate(self, views: NDArray[np.intp], images: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the error of each of `views` on the undecided `images`, float64 [len(views)]."""
        errors = np.zeros(len(views))
        for part in _chunks(len(images), len(views) * len(self._sum)):
            i = images[part]
            sums = self._sum[:, i, None] + self._probs[np.ix_(views, i)].transpose(2, 1, 0)
            errors += self._image_weights[i] @ wrong(sums, self._labels[i])
        return errors


def _all_margins(probs: Floats, labels: Labels) -> NDArray[np.float32]:
    """Return the true-class value minus the largest other value, float32 [images, views]."""
    margins = np.empty((len(labels), len(probs)), np.float32)
    for part in _chunks(len(probs), _CHUNK // _BATCH):
        block = [own_lead(np.array(view.T, order="C"), labels) for view in probs[part]]
        margins[:, part] = np.array(block).T
    return margins


def own_lead(sums: Floats, labels: Labels) -> Floats:
    """Return the true-class value minus the largest other one, [images, ...]; overwrites `sums`.

    Args:
        sums: [classes, images, ...].
        labels: int [images].
    """
    images = np.arange(len(labels))
    own = sums[labels, images]
    sums[labels, images] = -1
    lead: Floats = own - sums.max(axis=0)
    return lead


def _leads(sums: Floats, labels: Labels) -> tuple[Floats, NDArray[np.intp]]:
    """Return the lead of the true class over the strongest other one, and that class, [images] each."""
    images = np.arange(len(labels))
    others = sums.copy()
    others[labels, images] = -1
    rival = others.argmax(axis=0)
    return sums[labels, images] - others[rival, images], rival


def wrong(sums: NDArray[np.float64], labels: Labels) -> NDArray[np.bool_]:
    """Return whether the first largest class is wrong, [images, ...]; `sums` is [classes, images, ...]."""
    lead = own_lead(sums.copy(), labels)
    wrong = lead < 0
    tied = np.nonzero(lead == 0)
    wrong[tied] = np.moveaxis(sums, 0, -1)[tied].argmax(axis=-1) != labels[tied[0]]
    return wrong


def _chunks(count: int, values_each: int) -> Iterator[slice]:
    """Return slices of `count` items with about `_CHUNK` values each."""
    size = max(1, _CHUNK // max(1, values_each))
    return (slice(start, start + size) for start in range(0, count, size))
