"""The weights of members in the live ensemble: a search gives time to what has weight."""

from collections.abc import Mapping

from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection


class Contributors:
    """Keeps the weights of the members in the latest live selection."""

    def __init__(self) -> None:
        self._weights: Mapping[str, float] = {}

    def take(self, pool: Pool, selection: Selection) -> None:
        """Take a live selection; called from another thread."""
        weights: dict[str, float] = {}
        for view, weight in zip(pool.views, selection.weights.tolist(), strict=True):
            weights[view.member] = weights.get(view.member, 0.0) + weight
        ordered = sorted(weights, key=lambda member: (-weights[member], member))
        self._weights = {member: weights[member] for member in ordered}

    def weights(self) -> Mapping[str, float]:
        """Return member → weight of all that the selection chose from, the largest first.

        There is none before the first selection.
        """
        return self._weights
