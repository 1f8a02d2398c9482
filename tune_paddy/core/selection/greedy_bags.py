"""Several greedy runs side by side in one array, each on its own views of a small pool.

On a small pool, NumPy's call overhead exceeds the computation of a round. Here one call serves a round of
every run. The picks equal those of `LogLossScorer` and `ErrorScorer` in separate runs.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import EPS
from tune_paddy.core.selection.greedy import TIE, GreedyPath, Pick, best_prefix
from tune_paddy.core.selection.greedy_error import SLACK, own_lead, wrong
from tune_paddy.core.selection.greedy_log_loss import sum_logs
from tune_paddy.core.tasks.arrays import Floats, Labels

LARGEST = 1 << 18
"""Largest number of true-class values, over all runs and views, for which runs go side by side.

Beyond it, evaluating only the promising candidates of each run saves more than the calls cost.
"""

Grid = NDArray[np.float64]
"""float64 [runs, candidates]: a number for each candidate of each run."""


class Bags(Protocol):
    """Sums of the views that each run has chosen so far, and the scores of its candidates."""

    def scores(self) -> tuple[Grid, Grid]:
        """Return the metric and the mean log probability of the true class with each candidate added."""

    def add(self, picked: NDArray[np.intp]) -> None:
        """Add candidate `picked`, int [runs], to each run's sum."""


def run_bags(bags: Bags, rounds: int) -> list[GreedyPath]:
    """Add the best candidate of each run `rounds` times; ties go to the log loss, then to the first.

    Returns:
        The path of each run, with indices into its candidates.
    """
    history = []
    for _ in range(rounds):
        scores, logs = bags.scores()
        lowest = scores.min(axis=1)
        logs = np.where(scores <= lowest[:, None] + TIE, logs, -np.inf)
        highest = logs.max(axis=1)
        picked = (logs >= highest[:, None] - TIE).argmax(axis=1)
        bags.add(picked)
        history.append((picked.tolist(), lowest.tolist(), (-highest).tolist()))
    paths = []
    for run in range(len(picked)):
        picks = tuple(Pick(views[run], low[run], loss[run]) for views, low, loss in history)
        paths.append(GreedyPath(picks, best_prefix(picks)))
    return paths


class LogLossBags:
    """Scores the candidates of every run on log loss.

    Args:
        rows: float64 [views, images], see `true_class_rows`.
        views: int [runs, candidates].
    """

    def __init__(self, rows: Floats, views: NDArray[np.intp]) -> None:
        self._rows = rows[views]
        self._sums = np.zeros((len(views), 1, rows.shape[1]))
        self._rounds = 0

    def scores(self) -> tuple[Grid, Grid]:
        """Return the log loss and its negative."""
        logs = self.mean_logs()
        return -logs, logs

    def add(self, picked: NDArray[np.intp]) -> None:
        """Add candidate `picked` to each run's sum."""
        self._sums += self._rows[np.arange(len(picked)), picked][:, None]
        self._rounds += 1

    def mean_logs(self) -> Grid:
        """Return the mean log probability of the true class with each candidate added."""
        mixes = self._rows + self._sums
        mixes *= 1 / (self._rounds + 1)
        np.maximum(mixes, EPS, out=mixes)
        runs, candidates, images = mixes.shape
        logs: Grid = sum_logs(mixes.reshape(-1, images)).reshape(runs, candidates) / images
        return logs


class ErrorBags:
    """Scores the candidates of every run on the weighted share of wrong images.

    An image whose leading class no candidate can change counts once for all candidates of a run. Only the
    other images are evaluated.

    Args:
        probs: float32 [views, images, classes].
        labels: int [images].
        rows: The pool's `true_class_rows`.
        image_weights: float64 [images], sum 1.
        views: int [runs, candidates].
    """

    def __init__(
        self,
        probs: Floats,
        labels: Labels,
        rows: Floats,
        image_weights: NDArray[np.float64],
        views: NDArray[np.intp],
    ) -> None:
        runs, n_images = len(views), len(labels)
        self._log_loss = LogLossBags(rows, views)
        self._probs = np.ascontiguousarray(probs.transpose(2, 0, 1))  # [classes, views, images]
        self._views, self._shape = views, (runs, n_images)
        # From here on the arrays have one entry per (run, image) pair, run after run.
        self._labels = np.tile(labels, runs)
        self._images = np.tile(np.arange(n_images), runs)
        self._runs = np.repeat(np.arange(runs), n_images)
        self._weights = np.tile(image_weights, runs)
        self._highest_own = rows[views].max(axis=1).ravel()
        margins = own_lead(self._probs.reshape(len(self._probs), -1).copy(), np.tile(labels, len(probs)))
        self._lowest_margin = margins.reshape(len(probs), -1)[views].min(axis=1).ravel()
        self._sums = np.zeros((len(self._probs), runs * n_images))

    def scores(self) -> tuple[Grid, Grid]:
        """Return the error and the mean log probability of the true class with each candidate added."""
        lead = own_lead(self._sums.copy(), self._labels)
        lost = lead + self._highest_own < -SLACK
        open_ = np.flatnonzero((lead + self._lowest_margin <= SLACK) & ~lost)
        runs, images = self._runs[open_], self._images[open_]
        later = self._sums[:, open_, None] + self._probs[:, self._views[runs], images[:, None]]
        of_run = np.zeros((self._shape[0], len(open_)))
        of_run[runs, np.arange(len(open_))] = self._weights[open_]
        errors: Grid = of_run @ wrong(later, self._labels[open_])
        errors += (self._weights * lost).reshape(self._shape).sum(axis=1)[:, None]
        return errors, self._log_loss.mean_logs()

    def add(self, picked: NDArray[np.intp]) -> None:
        """Add candidate `picked` to each run's sum."""
        views = self._views[np.arange(len(picked)), picked]
        self._sums += self._probs[:, views].reshape(len(self._sums), -1)
        self._log_loss.add(picked)
