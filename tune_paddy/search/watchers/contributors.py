"""The members with a weight in the live ensemble, which a search may train again with other seeds."""

from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection


class Contributors:
    """Keeps the members with a weight in the latest live selection."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()

    def take(self, pool: Pool, selection: Selection) -> None:
        """Take a live selection; called from another thread."""
        weights: dict[str, float] = {}
        for view, weight in zip(pool.views, selection.weights.tolist(), strict=True):
            weights[view.member] = weights.get(view.member, 0.0) + weight
        chosen = [member for member, weight in weights.items() if weight > 0]
        self._names = tuple(sorted(chosen, key=lambda member: (-weights[member], member)))

    def names(self) -> tuple[str, ...]:
        """Return the names of the members, the largest weight first; none before the first selection."""
        return self._names
