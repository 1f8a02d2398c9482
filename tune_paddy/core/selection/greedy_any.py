"""Greedy rounds on any metric: build and score the mixture of every candidate in turn."""

import numpy as np

from tune_paddy.core.metrics import Metric
from tune_paddy.core.selection.greedy import Pick
from tune_paddy.core.selection.greedy_log_loss import LogLossScorer
from tune_paddy.core.tasks.arrays import Floats, Labels


class AnyScorer:
    """Scores every candidate's next round by calling the metric; ties go to the log loss.

    Args:
        probs: float32 [views, images, classes].
        labels: int [images].
        rows: The pool's `true_class_rows`.
        metric: The loss to minimise.
    """

    def __init__(self, probs: Floats, labels: Labels, rows: Floats, metric: Metric) -> None:
        self._probs = probs
        self._labels = labels
        self._metric = metric
        self._log_loss = LogLossScorer(rows)
        self._sum = np.zeros(probs.shape[1:])
        self._rounds = 0

    def best(self) -> Pick:
        """Return the candidate with the lowest metric; ties go to the log loss, then the lowest index."""
        scores = np.array([self._score(view) for view in self._probs])
        return self._log_loss.break_tie(scores)

    def add(self, view: int) -> None:
        """Add a view to the sum."""
        self._sum = self._sum + self._probs[view]
        self._rounds += 1
        self._log_loss.add(view)

    def _score(self, view: Floats) -> float:
        return self._metric((self._sum + view) / (self._rounds + 1), self._labels)
