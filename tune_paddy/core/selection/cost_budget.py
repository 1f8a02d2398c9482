"""Which views to keep when inference time, size or their number is limited.

A set of views is scored by the log loss of its best weighted mean, which is quick to find and can only
improve when a view is added. Views are added by gain per cost, then exchanged while that helps. A
selection method then fits the ensemble weights of the chosen views; see `within_budget`.

Source: taking the better of gain and gain per cost is the rule of Leskovec et al., "Cost-effective
outbreak detection in networks", KDD 2007.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import EPS
from tune_paddy.core.tasks.arrays import Floats

_LEAST_GAIN = 1e-5
"""Smallest improvement of the log loss, in nats, that justifies another view at any cost."""
_PAIRS_UP_TO = 8
"""Largest set for which exchanges of two views at once are tried."""
_SHORTLIST = 12
"""Number of candidates evaluated in one exchange."""
_STEPS = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.7])
"""Trial shares of a new view, to estimate its gain."""

_RIDGE = 1e-10
"""Relative ridge on the curvature, which identical views would make singular."""
_NOTHING = 1e-12
"""Weight below which a view is dropped."""


@dataclass(frozen=True, eq=False)
class CostBudget:
    """Costs of the views, and limits on their sum.

    The views of one member share its parameters, and some of them its plain pass. A member costs the largest
    shared part of its chosen views, and the own part of each.

    Attributes:
        costs: float64 [resources, views], ≥ 0: minutes, MiB, or 1 each to count members.
        limits: float64 [resources], > 0, in the same units; inf: no limit.
        groups: int [views], the member of each view.
        shared: float64 [resources, views], the part of each cost that the member's other views share; None:
            all of it, so that the most expensive chosen view of each member counts.
    """

    costs: NDArray[np.float64]
    limits: NDArray[np.float64]
    groups: NDArray[np.intp]
    shared: NDArray[np.float64] | None = None

    def cost(self, views: Sequence[int]) -> NDArray[np.float64]:
        """Return the cost of a set of views, float64 [resources]."""
        shared = self.costs if self.shared is None else self.shared
        largest: dict[int, NDArray[np.float64]] = {}
        own = np.zeros(len(self.limits))
        for view in views:
            group = int(self.groups[view])
            largest[group] = np.maximum(largest.get(group, 0.0), shared[:, view])
            if self.shared is not None:  # costs may be inf
                own = own + (self.costs[:, view] - shared[:, view])
        return sum(largest.values(), own)

    def among(self, views: NDArray[np.intp]) -> "CostBudget":
        """Return the budget of some of the views, with the same limits."""
        shared = None if self.shared is None else self.shared[:, views]
        return replace(self, costs=self.costs[:, views], groups=self.groups[views], shared=shared)

    def allows(self, views: Sequence[int]) -> bool:
        """Return whether a set of views is within every limit, with a tolerance for rounding."""
        return bool((self.cost(views) <= self.limits * (1 + 1e-9)).all())


@dataclass(frozen=True, eq=False)
class Subset:
    """Set of views within a budget.

    Attributes:
        views: Indices of the views, in the order of their addition.
        log_loss: Log loss of their best weighted mean, on the images of the choice: optimistic.
        cost: Cost of the set, float64 [resources].
        mix: float64 [images], probability of the true class under that mean.
    """

    views: tuple[int, ...]
    log_loss: float
    cost: NDArray[np.float64]
    mix: NDArray[np.float64]


def choose_within(rows: Floats, budget: CostBudget) -> Subset:
    """Search for the views within the budget whose best weighted mean has the lowest log loss.

    Args:
        rows: The pool's `true_class_rows`, [views, images].
        budget: Costs and limits.

    Raises:
        InputError: No view is within the budget.
    """
    return _choose(Means(rows), budget)


def _choose(means: "Means", budget: CostBudget) -> Subset:
    check_budget(means.rows, budget)
    everything = range(len(means.rows))
    best = min(
        (_fill(means, budget, (), everything, per_cost) for per_cost in (True, False)),
        key=lambda subset: subset.log_loss,
    )
    while better := next(_exchanges(means, budget, best), None):
        best = better
    return best


def frontier(rows: Floats, budget: CostBudget, *, resource: int = 0, steps: int = 8) -> tuple[Subset, ...]:
    """Return the Pareto frontier of log loss and one resource, within the limits of the others.

    Args:
        rows: The pool's `true_class_rows`, [views, images].
        budget: Costs and limits; the limit of this resource is ignored.
        resource: Index of the resource.
        steps: Number of limits to try, from the cheapest view to the best set without a limit; every single
            view is evaluated as well.

    Returns:
        The sets that no cheaper set matches, by increasing cost.

    Raises:
        InputError: No view is within the other limits.
    """
    free = np.where(np.arange(len(budget.limits)) == resource, np.inf, budget.limits)
    others = replace(budget, limits=free)
    means = Means(rows)
    best = _choose(means, others)
    points = [best, *(evaluate(means, budget, (v,)) for v in range(len(rows)) if others.allows([v]))]
    cheapest = max(float(budget.costs[resource].min()), 1e-9)
    for limit in np.geomspace(cheapest, max(float(best.cost[resource]), cheapest), steps)[:-1]:
        limits = np.where(np.arange(len(free)) == resource, limit, free)
        tight = replace(budget, limits=limits)
        if any(tight.allows([view]) for view in range(len(rows))):
            points.append(_choose(means, tight))
    return _undominated(points, resource)


def _undominated(points: Sequence[Subset], resource: int) -> tuple[Subset, ...]:
    kept: list[Subset] = []
    for point in sorted(points, key=lambda point: (point.cost[resource], point.log_loss)):
        if not kept or point.log_loss < kept[-1].log_loss - _LEAST_GAIN:
            kept.append(point)
    return tuple(kept)


def check_budget(views: Floats, budget: CostBudget) -> None:
    """Refuse a budget that does not fit the views, or that no view keeps.

    Args:
        views: Any array whose first axis counts the views.
        budget: Costs of the views, and their limits.

    Raises:
        InputError: The shapes differ, a limit is not positive, or no single view is within the budget.
    """
    if budget.costs.shape != (len(budget.limits), len(views)) or budget.groups.shape != (len(views),):
        raise InputError(f"the budget's costs {budget.costs.shape} do not match {len(views)} views")
    if not (budget.limits > 0).all() or not (budget.costs >= 0).all():
        raise InputError("a budget needs limits above 0 and costs that are not negative")
    if not any(budget.allows([view]) for view in range(len(views))):
        cheapest = ", ".join(f"{cost:.4g}" for cost in budget.costs.min(axis=1))
        limits = ", ".join(f"{limit:.4g}" for limit in budget.limits)
        raise InputError(f"no member is within the budget ({limits}): the cheapest one takes {cheapest}")


class Means:
    """Best weighted means of sets of views; each set is fitted once, in whichever order its views were added.

    Args:
        rows: The pool's `true_class_rows`, [views, images].
    """

    def __init__(self, rows: Floats) -> None:
        self.rows = rows
        # The means themselves would fill memory.
        self._weights: dict[tuple[int, ...], NDArray[np.float64]] = {}

    def mix(self, views: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the probability of the true class under the best mean, float64 [images]."""
        known = tuple(sorted(views))
        own = self.rows[list(known)].astype(np.float64, copy=False)
        if known not in self._weights:
            self._weights[known] = _best_weights(own)
        mixed: NDArray[np.float64] = self._weights[known] @ own
        return mixed


def _fill(
    means: Means, budget: CostBudget, views: tuple[int, ...], among: Sequence[int], per_cost: bool
) -> Subset:
    """Add the view with the largest gain, or gain per cost, until none is affordable or useful."""
    subset = evaluate(means, budget, views)
    while affordable := [v for v in among if v not in views and budget.allows((*views, v))]:
        gains = _gains(means.rows, subset, affordable)
        if gains.max() <= _LEAST_GAIN:
            break
        values = gains / _shares(budget, subset, affordable) if per_cost else gains
        views = (*views, affordable[int(values.argmax())])
        subset = evaluate(means, budget, views)
    return subset


def _exchanges(means: Means, budget: CostBudget, subset: Subset) -> Iterator[Subset]:
    """Yield better sets that replace one or two views."""
    sizes = (1, 2) if len(subset.views) <= _PAIRS_UP_TO else (1,)
    for size in sizes:
        for dropped in combinations(subset.views, size):
            base = evaluate(means, budget, tuple(v for v in subset.views if v not in dropped))
            others = [v for v in range(len(means.rows)) if v not in subset.views]
            others = [v for v in others if budget.allows((*base.views, v))]
            if not others:
                continue
            ranking = np.argsort(-_gains(means.rows, base, others), kind="stable")[:_SHORTLIST]
            shortlist = [others[i] for i in ranking]
            for first in shortlist:
                among = (*shortlist, *dropped)
                tried = _fill(means, budget, (*base.views, first), among, per_cost=False)
                if tried.log_loss < subset.log_loss - _LEAST_GAIN:
                    yield tried


def _gains(rows: Floats, subset: Subset, views: Sequence[int]) -> NDArray[np.float64]:
    """Return each view's gain in mean log probability, at the best of `_STEPS`, float64 [len(views)]."""
    steps = _STEPS if subset.views else np.ones(1)
    before = -subset.log_loss
    gains = np.empty(len(views))
    for number, view in enumerate(views):
        mixes = subset.mix + steps[:, None] * (rows[view] - subset.mix)
        gains[number] = np.log(np.maximum(mixes, EPS)).mean(axis=1).max() - before
    return gains


def _shares(budget: CostBudget, subset: Subset, views: Sequence[int]) -> NDArray[np.float64]:
    """Return the largest share of a limit that adding each of `views` takes, float64 [len(views)]."""
    added = [(budget.cost((*subset.views, v)) - subset.cost) / budget.limits for v in views]
    shares: NDArray[np.float64] = np.max(added, axis=1)
    return np.maximum(shares, 1e-9)


def evaluate(means: Means, budget: CostBudget, views: tuple[int, ...]) -> Subset:
    """Evaluate the best weighted mean of a set of views; an empty set has probability `EPS`."""
    cost = budget.cost(views)
    if not views:
        mix = np.full(means.rows.shape[1], EPS)
        return Subset(views, -float(np.log(EPS)), cost, mix)
    mix = means.mix(views)
    return Subset(views, -float(np.log(np.maximum(mix, EPS)).mean()), cost, mix)


def _best_weights(
    rows: NDArray[np.float64], tolerance: float = 1e-5, most_steps: int = 200
) -> NDArray[np.float64]:
    """Return the weights of the mean of rows with the lowest log loss, float64 [views].

    Newton's method runs on the views with positive weight until the optimality gap is small. If its step
    does not help, as can happen with probabilities near 0, a step of expectation maximisation replaces it.
    """
    weights = np.full(len(rows), 1 / len(rows))
    mix, score = _mixed(rows, weights)
    for _ in range(most_steps):
        ratios = rows / mix
        slopes = ratios.mean(axis=1)
        if slopes.max() - 1 <= tolerance:
            break
        tried = _newton_step(weights, ratios, slopes)
        new_mix, new_score = _mixed(rows, tried)
        if new_score <= score:
            tried = weights * slopes
            new_mix, new_score = _mixed(rows, tried)
        weights, mix, score = tried, new_mix, new_score
    return weights


def _mixed(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the weighted mean of rows, at least `EPS`, and its mean logarithm."""
    mix = np.maximum(weights @ rows, EPS)
    return mix, float(np.log(mix).mean())


def _newton_step(
    weights: NDArray[np.float64], ratios: NDArray[np.float64], slopes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weights after a step in Newton's direction, shortened so that none becomes negative.

    Args:
        weights: float64 [views], sum 1.
        ratios: float64 [views, images], ratio of each view to the mean.
        slopes: float64 [views], means of `ratios`: the gradient. The view with the steepest slope joins.
    """
    moving = weights > 0
    moving[slopes.argmax()] = True
    moved = ratios[moving]
    curvature = moved @ moved.T / ratios.shape[1]
    curvature.flat[:: len(curvature) + 1] += _RIDGE * curvature.trace()
    sides = np.ones((len(curvature), 2))
    sides[:, 0] = slopes[moving]
    towards, evenly = np.linalg.solve(curvature, sides).T
    direction = np.zeros(len(weights))
    direction[moving] = towards - evenly * towards.sum() / evenly.sum()  # the weights still sum to 1
    falling = direction < 0
    far = float((weights[falling] / -direction[falling]).min(initial=1.0))
    stepped = weights + far * direction
    stepped[falling & (stepped < _NOTHING)] = 0
    stepped /= stepped.sum()
    return stepped
