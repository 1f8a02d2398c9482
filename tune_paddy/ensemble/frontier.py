"""Trade-off of prediction time and log loss: the best sets of members for each prediction time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import EPS, log_loss
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.cost_budget import CostBudget, frontier
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats
from tune_paddy.ensemble.fit import make_budget
from tune_paddy.ensemble.options import SelectionOptions

_MINUTES = 1
"""Index of the minutes among the resources of `make_budget`."""
_CANDIDATES = 12
"""Number of views to try: of 40 views, 20 gave the same frontier as 12 and took 2.3 s instead of 1.4 s."""


@dataclass(frozen=True)
class Offer:
    """Cost and log loss of a set of members.

    Attributes:
        members: Number of members.
        minutes: Time to predict the test set, in minutes.
        mib: Total size of the weights files, in MiB.
        log_loss: Log loss on the select split that the set was selected on, in nats: optimistic.
    """

    members: int
    minutes: float
    mib: float
    log_loss: float


@dataclass(frozen=True)
class Frontier:
    """Log loss against minutes.

    Attributes:
        points: Best weighted means, cheapest first; each is better than all cheaper ones.
        singles: Each single view.
        selected: The selected ensemble.
    """

    points: tuple[Offer, ...]
    singles: tuple[Offer, ...]
    selected: Offer


def find_frontier(pool: Pool, selection: Selection, options: SelectionOptions) -> Frontier | None:
    """Find the frontier of a pool; None without a test set or without measured times.

    Args:
        pool: Pool that the ensemble was selected from.
        selection: Selected ensemble, for comparison.
        options: Options with limits; all limits except that of the minutes apply.
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
    """Return the views to try: those that no cheaper view beats, then the selected, then the best."""
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
    tried = budget.among(views)
    found = frontier(rows[views], tried, resource=_MINUTES)
    return tuple(_offer(tried, subset.views, subset.log_loss) for subset in found)


def _offer(budget: CostBudget, views: Sequence[int], loss: float) -> Offer:
    members, minutes, mib = budget.cost(views).tolist()
    return Offer(round(members), minutes, mib, loss)
