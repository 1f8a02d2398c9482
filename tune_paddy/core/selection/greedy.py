"""Greedy forward selection with replacement: the loop; what a round costs is the scorers' business.

Source: Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble selection from libraries of models",
ICML 2004.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

TIE = 1e-12
"""Losses closer than this are equal: rounding must not decide between two views."""


class Pick(NamedTuple):
    """The best view to add next.

    Attributes:
        view: Its index.
        score: The metric of the ensemble once it is added.
        log_loss: The log loss of the same ensemble, which breaks ties of the metric.
    """

    view: int
    score: float
    log_loss: float


class Scorer(Protocol):
    """Knows the sum of the views chosen so far, and which further view would serve it best."""

    def best(self) -> Pick:
        """The view with the lowest score; then the lowest log loss; then the lowest index."""

    def add(self, view: int) -> None:
        """Add a view to the sum, once more if it is in it already."""


@dataclass(frozen=True)
class GreedyPath:
    """The rounds of one greedy run.

    Attributes:
        picks: One per round.
        kept: Length of the best prefix: the lowest score, then the lowest log loss, then the shortest.
    """

    picks: tuple[Pick, ...]
    kept: int

    def weights(self, n_views: int) -> NDArray[np.float64]:
        """Share of the kept rounds that went to each view, float64 [views]."""
        views = [pick.view for pick in self.picks[: self.kept]]
        return np.bincount(views, minlength=n_views) / self.kept


def run_greedy(scorer: Scorer, rounds: int) -> GreedyPath:
    """Add the best view `rounds` times, and find the best prefix."""
    picks = []
    for _ in range(rounds):
        pick = scorer.best()
        scorer.add(pick.view)
        picks.append(pick)
    return GreedyPath(tuple(picks), best_prefix(picks))


def best_prefix(picks: Sequence[Pick]) -> int:
    """Length of the best prefix, 1 or more."""
    lowest = min(pick.score for pick in picks)
    tied = [pick for pick in picks if pick.score <= lowest + TIE]
    limit = min(pick.log_loss for pick in tied) + TIE
    return 1 + next(
        n for n, pick in enumerate(picks) if pick.score <= lowest + TIE and pick.log_loss <= limit
    )
