"""Greedy rounds on log loss: exact, and fast since one matrix-vector product bounds all candidates.

Only the probability of the true class matters. With S the sum of the k views chosen so far and q
the row of a candidate, the candidate's loss is −mean log((S + q) / (k + 1)). The logarithm is
concave, so its tangent at S bounds every candidate from above. Candidates are evaluated in the order
of their bounds until the next bound is below the best value.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import EPS, true_class
from tune_paddy.core.selection.greedy import TIE, Pick
from tune_paddy.core.tasks.arrays import Floats, Labels

_FIRST_BATCH = 16
_SLACK = 1e-9
"""Relative rounding error allowed in a bound; a float64 dot product of 10⁶ terms errs by 1e-10 at most."""
_CHUNK = 1 << 17
"""Number of values processed at once: 1 MiB of float64, which stays in the CPU cache."""
_SHORTEST = 64
"""Shortest row that is worth folding: below it, the logarithms cost less than the folding."""


def true_class_rows(probs: Floats, labels: Labels) -> Floats:
    """Return the probability of every image's true class, [views, images]; reads the views one by one.

    Of several labels an image it is that of each answer, [views, images · labels].
    The type is float64 for speed, or that of `probs` if float64 took more than half the memory of `probs`.
    """
    if labels.ndim > 1:
        return np.stack([true_class(view, labels).ravel() for view in probs])
    n_views, n_images, n_classes = probs.shape
    small = n_views * n_images * 8 <= probs.nbytes / 2
    rows = np.empty((n_views, n_images), np.float64 if small else probs.dtype)
    index = np.arange(n_images) * n_classes + labels
    for row, view in zip(rows, probs, strict=True):
        row[:] = view.reshape(-1)[index]
    return rows


class LogLossScorer:
    """Scores every candidate's next round on log loss.

    Args:
        rows: [views, images], see `true_class_rows`.
        total: Sum of the views chosen in earlier rounds, float64 [images]; None: the first round.
        rounds: Number of earlier rounds.
    """

    def __init__(self, rows: Floats, total: NDArray[np.float64] | None = None, rounds: int = 0) -> None:
        self._rows = rows
        self._sum = np.zeros(rows.shape[1]) if total is None else total
        self._rounds = rounds

    @property
    def total(self) -> NDArray[np.float64]:
        """Sum of the views chosen so far, float64 [images]."""
        return self._sum

    def best(self) -> Pick:
        """Return the candidate with the lowest log loss; ties go to the lowest index."""
        views, logs = self._evaluate_promising()
        winner = int(views[logs >= logs.max() - TIE].min())
        loss = -float(logs.max())
        return Pick(winner, loss, loss)

    def add(self, view: int) -> None:
        """Add a view to the sum."""
        self._sum = self._sum + self._rows[view]
        self._rounds += 1

    def break_tie(self, scores: NDArray[np.float64]) -> Pick:
        """Return the candidate with the lowest of another metric's `scores` [views]; ties go to log loss."""
        tied = np.flatnonzero(scores <= scores.min() + TIE)
        logs = self.mean_logs(tied)
        winner = int(tied[logs >= logs.max() - TIE][0])
        return Pick(winner, float(scores.min()), -float(logs.max()))

    def mean_logs(self, views: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the mean log probability of the true class with each view added, float64 [len(views)]."""
        return np.concatenate([self._mean_logs(views[part]) for part in self._chunks(len(views))])

    def _evaluate_promising(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the candidates whose bound reaches the best exact value, and their exact values."""
        if self._rounds == 0 or len(self._rows) <= _FIRST_BATCH:  # bounds would save nothing
            everything = np.arange(len(self._rows))
            return everything, self.mean_logs(everything)
        bounds = self._bounds()
        queue = np.argsort(-bounds, kind="stable")
        views, size = queue[:_FIRST_BATCH], _FIRST_BATCH
        logs = self.mean_logs(views)
        while True:
            batch = queue[len(views) : len(views) + size]
            batch = batch[bounds[batch] >= logs.max() - TIE]
            if not len(batch):
                return views, logs
            views, logs = np.append(views, batch), np.append(logs, self.mean_logs(batch))
            size *= 2

    def _bounds(self) -> NDArray[np.float64]:
        """Return upper bounds of the mean log with each view added, by the tangent at the current sum."""
        at = self._sum + EPS * (self._rounds + 1)  # log max(x, e) ≤ log(x + e), and this is concave
        slopes = 1 / (at * len(at))
        chunks = self._chunks(len(self._rows))
        gains = np.concatenate([self._rows[part].astype(np.float64, copy=False) @ slopes for part in chunks])
        constant = float(np.log(at).mean() - np.log(self._rounds + 1))
        return gains * (1 + _SLACK) + (constant + _SLACK)

    def _mean_logs(self, views: NDArray[np.intp]) -> NDArray[np.float64]:
        mixes: NDArray[np.float64] = self._rows[views] + self._sum
        mixes *= 1 / (self._rounds + 1)
        np.maximum(mixes, EPS, out=mixes)
        logs = sum_logs(mixes)
        logs /= mixes.shape[1]
        return logs

    def _chunks(self, n_views: int) -> Iterator[slice]:
        size = max(1, _CHUNK // max(1, self._rows.shape[1]))
        return (slice(start, start + size) for start in range(0, max(1, n_views), size))


def sum_logs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return row sums of the logarithms; folds long rows first, as a logarithm costs ten products.

    The values are at least `EPS`, and four foldings make products of 16, so they stay above 1e-240.
    """
    unpaired = np.zeros(len(values))
    for _ in range(4):
        half, odd = divmod(values.shape[1], 2)
        if 2 * half < _SHORTEST:
            break
        if odd:
            unpaired += np.log(values[:, -1])
        values = values[:, :half] * values[:, half : 2 * half]
    sums: NDArray[np.float64] = np.log(values).sum(axis=1) + unpaired
    return sums
