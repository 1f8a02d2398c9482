"""Greedy forward selection with replacement: the loop; what a round costs is the scorers' business.

Source: Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble selection from libraries of models",
ICML 2004.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

TIE = 1e-12
"""Losses closer than this are equal: rounding must not decide between two views."""


class Choice(NamedTuple):
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

    def best(self) -> Choice:
        """The view with the lowest score; then the lowest log loss; then the lowest index."""

    def add(self, view: int) -> None:
        """Add a view to the sum, once more if it is in it already."""


@dataclass(frozen=True)
class GreedyPath:
    """The rounds of one greedy run.

    Attributes:
        choices: One per round.
        kept: Length of the best prefix: the lowest score, then the lowest log loss, then the shortest.
    """

    choices: tuple[Choice, ...]
    kept: int

    def weights(self, n_views: int) -> NDArray[np.float64]:
        """Share of the kept rounds that went to each view, float64 [views]."""
        picked = [choice.view for choice in self.choices[: self.kept]]
        return np.bincount(picked, minlength=n_views) / self.kept


def run_greedy(scorer: Scorer, rounds: int) -> GreedyPath:
    """Add the best view `rounds` times, and find the best prefix."""
    choices = []
    for _ in range(rounds):
        choice = scorer.best()
        scorer.add(choice.view)
        choices.append(choice)
    return GreedyPath(tuple(choices), _best_prefix(choices))


def _best_prefix(choices: list[Choice]) -> int:
    """Length of the best prefix, 1 or more."""
    lowest = min(choice.score for choice in choices)
    tied = [choice for choice in choices if choice.score <= lowest + TIE]
    limit = min(choice.log_loss for choice in tied) + TIE
    return 1 + next(
        n for n, choice in enumerate(choices) if choice.score <= lowest + TIE and choice.log_loss <= limit
    )
