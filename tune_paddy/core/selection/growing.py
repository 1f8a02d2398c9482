"""Greedy selection on log loss over views that arrive one after another, with the result of `greedy_select`.

A new view changes nothing if it would win none of the recorded rounds. To know takes one row, whatever the
number of earlier views. Otherwise the rounds are repeated from the first one that it wins. The better a pool
is, the fewer of its new views do.
"""

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import EPS
from tune_paddy.core.selection.greedy import TIE, GreedyPath, Pick, best_prefix
from tune_paddy.core.selection.greedy_log_loss import LogLossScorer, sum_logs
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats

_FIRST_ROWS = 64


class GrowingGreedy:
    """Greedy selection with replacement over a growing number of views.

    Args:
        task: Name of the task, for the selection.
        rounds: Number of views to add, repetitions included.
    """

    def __init__(self, task: str, rounds: int = 100) -> None:
        self._task, self._rounds = task, rounds
        self._rows: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._views = 0
        self._picks: list[Pick] = []
        self._sums: NDArray[np.float64] = np.empty((0, 0))  # before each round

    def __len__(self) -> int:
        """Return the number of views."""
        return self._views

    def add(self, rows: Floats) -> int:
        """Add views to the end of the pool.

        Args:
            rows: Probabilities of the true classes, float32 [new views, images], see `true_class_rows`.

        Returns:
            The number of rounds that were repeated; 0: the new views have no weight.
        """
        self._append(rows)
        first = self._first_won(rows)
        scorer = LogLossScorer(self._rows[: self._views], self._sums[first].copy(), first)
        del self._picks[first:]
        for number in range(first, self._rounds):
            self._sums[number] = scorer.total
            self._picks.append(scorer.best())
            scorer.add(self._picks[-1].view)
        return self._rounds - first

    def selection(self) -> Selection:
        """Return the selection from all views so far, without the bound on what other weights could gain."""
        path = GreedyPath(tuple(self._picks), best_prefix(self._picks))
        return Selection(
            path.weights(self._views),
            score=path.picks[path.kept - 1].score,
            metric="log_loss",
            method="greedy",
            task=self._task,
            trajectory=tuple(pick.score for pick in path.picks),
            order=tuple(pick.view for pick in path.picks),
            kept=path.kept,
        )

    def _append(self, rows: Floats) -> None:
        views = self._views + len(rows)
        if not self._views:
            self._sums = np.zeros((self._rounds + 1, rows.shape[1]))
            self._rows = np.empty((_FIRST_ROWS, rows.shape[1]), np.float32)
        if views > len(self._rows):
            larger = np.empty((max(views, 3 * len(self._rows) // 2), rows.shape[1]), np.float32)
            larger[: self._views] = self._rows[: self._views]
            self._rows = larger
        self._rows[self._views : views] = rows
        self._views = views

    def _first_won(self, rows: Floats) -> int:
        """Return the first round in which a new view reaches the winner's loss; their number: none."""
        won = [np.flatnonzero(self._losses(row) <= self._scores() + TIE) for row in rows]
        return min((int(rounds[0]) for rounds in won if len(rounds)), default=len(self._picks))

    def _scores(self) -> NDArray[np.float64]:
        return np.array([pick.score for pick in self._picks])

    def _losses(self, row: Floats) -> NDArray[np.float64]:
        """Return the log loss of each round with a view in the place of the winner, float64 [rounds]."""
        mixes: NDArray[np.float64] = self._sums[: len(self._picks)] + row
        mixes *= 1 / np.arange(1, len(self._picks) + 1)[:, None]
        np.maximum(mixes, EPS, out=mixes)
        losses: NDArray[np.float64] = -sum_logs(mixes) / max(1, mixes.shape[1])
        return losses
