"""What fewer minutes would cost: the best sets of members by the time that they take to predict."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import EPS, Floats, log_loss
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.cost_budget import CostBudget, frontier
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.result import Selection
from tune_paddy.ensemble.fit import make_budget
from tune_paddy.ensemble.options import SelectionOptions

_MINUTES = 1
"""Index of the resource in `make_budget`."""
_CANDIDATES = 12
"""Views that are tried: of 40 views, 20 gave the same frontier as 12 and took 2.3 s instead of 1.4."""


@dataclass(frozen=True)
class Offer:
    """What a set of members costs, and how well it predicts.

    Attributes:
        members: Their number.
        minutes: To predict the test set.
        mib: Of weights.
        log_loss: On the select split that it was chosen on, in nats: optimistic.
    """

    members: int
    minutes: float
    mib: float
    log_loss: float


@dataclass(frozen=True)
class Frontier:
    """Log loss against minutes.

    Attributes:
        points: The best weighted means, cheapest first, each better than all that are cheaper.
        singles: Every view by itself.
        selected: The ensemble that was selected.
    """

    points: tuple[Offer, ...]
    singles: tuple[Offer, ...]
    selected: Offer


def find_frontier(pool: Pool, selection: Selection, options: SelectionOptions) -> Frontier | None:
    """Find the frontier of a pool, or None without a test set or where no time was measured.

    Args:
        pool: What was selected from.
        selection: What was selected, for comparison.
        options: Their limits hold, but for that of the minutes.
    """
    budget = make_budget(pool, options)
    if not (budget.costs[_MINUTES] > 0).all():
        return None
    rows = true_class_rows(pool.select, pool.labels)
    losses = -np.log(np.maximum(rows, EPS)).mean(axis=1)
    singles = tuple(_offer(budget, [view], loss) for view, loss in enumerate(losses.tolist()))
    own = log_loss(selection.blend(pool.select), pool.labels)
    return Frontier(
        points=_points(rows, budget, _candidates(budget, losses, selection)),
        singles=singles,
        selected=_offer(budget, np.flatnonzero(selection.weights).tolist(), own),
    )


def _candidates(budget: CostBudget, losses: NDArray[np.float64], selection: Selection) -> NDArray[np.intp]:
    """Views worth trying: those that no cheaper one beats, then the selected ones, then the best."""
    others = np.arange(len(budget.limits)) != _MINUTES
    affordable = (budget.costs[others] <= budget.limits[others, None]).all(axis=0)
    by_cost = np.lexsort((losses, budget.costs[_MINUTES]))
    by_cost = by_cost[affordable[by_cost]]
    before = np.minimum.accumulate(np.append(np.inf, losses[by_cost][:-1]))
    unbeaten = by_cost[losses[by_cost] < before]
    spread = np.linspace(0, len(unbeaten) - 1, min(len(unbeaten), _CANDIDATES // 2)).astype(np.intp)
    ranking = np.lexsort((losses, -selection.weights))
    kept = dict.fromkeys([*unbeaten[spread].tolist(), *ranking[affordable[ranking]].tolist()])
    return np.array(list(kept)[:_CANDIDATES])


def _points(rows: Floats, budget: CostBudget, views: NDArray[np.intp]) -> tuple[Offer, ...]:
    tried = CostBudget(budget.costs[:, views], budget.limits, budget.groups[views])
    found = frontier(rows[views], tried, resource=_MINUTES)
    return tuple(_offer(tried, subset.views, subset.log_loss) for subset in found)


def _offer(budget: CostBudget, views: Sequence[int], loss: float) -> Offer:
    members, minutes, mib = budget.cost(views).tolist()
    return Offer(round(members), minutes, mib, loss)
