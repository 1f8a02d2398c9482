"""Greedy forward selection with replacement: the loop over rounds. Scorers make a round fast.

Source: Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble selection from libraries of models",
ICML 2004.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

TIE = 1e-12
"""Difference below which two losses are equal: rounding must not decide between two views."""


class Pick(NamedTuple):
    """Best view to add next.

    Attributes:
        view: Index of the view.
        score: Metric of the ensemble with the view added.
        log_loss: Log loss of the same ensemble, which breaks ties of the metric.
    """

    view: int
    score: float
    log_loss: float


class Scorer(Protocol):
    """Sum of the views chosen so far, and the search for the best view to add."""

    def best(self) -> Pick:
        """Return the view with the lowest score; ties go to the lowest log loss, then the lowest index."""

    def add(self, view: int) -> None:
        """Add a view to the sum, even if the sum contains it already."""


@dataclass(frozen=True)
class GreedyPath:
    """Rounds of one greedy run.

    Attributes:
        picks: Pick of each round.
        kept: Length of the best prefix: the lowest score, then the lowest log loss, then the shortest.
    """

    picks: tuple[Pick, ...]
    kept: int

    def weights(self, n_views: int) -> NDArray[np.float64]:
        """Return each view's share of the kept rounds, float64 [views]."""
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
    """Return the length of the best prefix, at least 1."""
    lowest = min(pick.score for pick in picks)
    tied = [pick for pick in picks if pick.score <= lowest + TIE]
    limit = min(pick.log_loss for pick in tied) + TIE
    return 1 + next(
        n for n, pick in enumerate(picks) if pick.score <= lowest + TIE and pick.log_loss <= limit
    )
