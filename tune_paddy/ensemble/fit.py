"""Make the function that selects from options: a method, fixed weights, budgets."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.core.estimate import Assessment, Fit, assess, with_thresholds
from tune_paddy.core.folds import Groups, count_independent
from tune_paddy.core.metrics import check_metric
from tune_paddy.core.predictions import Pool, View
from tune_paddy.core.selection.auto import LEAST_IMAGES, auto_select
from tune_paddy.core.selection.cost_budget import CostBudget
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.plain import fixed_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.selection.within_budget import budget_auto_select, budget_select
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.views import EMA, PLAIN, all_passes, view_work
from tune_paddy.ensemble.fixed_weights import parse_weights, weigh
from tune_paddy.ensemble.options import AUTO, SelectionOptions

_BYTES_PER_PARAMETER = 4


def make_fit(pool: Pool, options: SelectionOptions) -> Fit:
    """Return the function that selects from any part of the pool's images, with these options.

    Raises:
        InputError: Fixed weights are not valid or are combined with a budget, no member is within the budget,
            or the metric does not serve the task.
    """
    check_metric(options.metric, pool.task)
    fit = with_thresholds(_make_fit(pool, options), options.metric, pool.task)
    return lambda probs, labels, *groups: replace(fit(probs, labels, *groups), task=pool.task.name)


def _make_fit(pool: Pool, options: SelectionOptions) -> Fit:
    if options.weights:
        if options.bounded:
            raise InputError(
                "`weights` fixes the members; it cannot be combined with a budget", options=("weights",)
            )
        by_hand = weigh(pool.views, parse_weights(options.weights))
        return lambda probs, labels, *_: fixed_select(probs, labels, by_hand, metric=options.metric)
    method = None if options.method == AUTO else METHODS[options.method]
    select: Callable[..., Selection] = method or auto_select
    if options.bounded:
        budget = make_budget(pool, options)
        _check_affordable(pool, budget, options)
        within = partial(budget_select, select=method) if method else budget_auto_select
        select = partial(within, budget=budget)

    def fit(probs: Floats, labels: Labels, groups: Groups | None = None) -> Selection:
        # Only the choice of the method divides the images, and compares decisions.
        divided = {} if method else {"groups": groups, "task": pool.task}
        return select(probs, labels, metric=options.metric, seed=options.seed, **divided)

    return fit


def fit_pool(pool: Pool, fit: Fit) -> Selection:
    """Select from all images of a pool."""
    return fit(pool.select, pool.labels, *(() if pool.groups is None else (pool.groups,)))


def assess_fit(pool: Pool, fit: Fit, options: SelectionOptions) -> Assessment | None:
    """Cross-fit a complete selection, including the choice of its method.

    Args:
        pool: Pool to select from.
        fit: Function of `make_fit`.
        options: Options of that function.

    Returns:
        Score on images that the selection has not seen; None if the select split has a single image or group.
    """
    if count_independent(pool.labels, pool.groups) < LEAST_IMAGES:
        return None
    return assess(
        pool.select,
        pool.labels,
        fit,
        metric=options.metric,
        seed=options.seed,
        task=pool.task,
        groups=pool.groups,
    )


def make_budget(pool: Pool, options: SelectionOptions) -> CostBudget:
    """Return the cost of each view in members, minutes and MiB, with the limits of the options.

    The averaged parameters of an `ema` view are a second network, saved and loaded beside the member's own.
    """
    minutes = predicting_minutes(pool, options.speed_factor)
    shared = predicting_minutes(pool, options.speed_factor, shared=True)
    parameters = np.array([_number(view, "parameters_m") for view in pool.views]) * 1e6
    sizes = parameters * _BYTES_PER_PARAMETER / 2**20
    networks = np.array([2 if view.kind == EMA else 1 for view in pool.views])
    limits = [options.max_members, options.max_minutes, options.max_size]
    return CostBudget(
        costs=np.stack([np.ones(len(pool.views)), minutes, networks * sizes]),
        limits=np.array([np.inf if limit is None else float(limit) for limit in limits]),
        groups=member_groups(pool),
        shared=np.stack([np.ones(len(pool.views)), shared, sizes]),
    )


def _check_affordable(pool: Pool, budget: CostBudget, options: SelectionOptions) -> None:
    """Raise if no member is within the limits; name each limit and the member that needs least."""
    if any(budget.allows([view]) for view in range(len(pool.views))):
        return
    problems = []
    for option, limit, unit, which, costs in (
        ("max_minutes", options.max_minutes, "minutes", "fastest", budget.costs[1]),
        ("max_size", options.max_size, "MiB", "smallest", budget.costs[2]),
    ):
        if limit is not None:
            least = pool.views[int(costs.argmin())].member
            problems.append(f"`{option}={limit:g}`: the {which}, {least}, takes {costs.min():.3g} {unit}")
    raise InputError(
        f"no member is within the budget: {'; '.join(problems)}", options=("max_minutes", "max_size")
    )


def predicting_minutes(pool: Pool, speed_factor: float = 1.0, *, shared: bool = False) -> NDArray[np.float64]:
    """Return the minutes that each view needs to predict the test set, float64 [views].

    A member's measured time covers the passes of all its views together.

    Args:
        pool: The pool.
        speed_factor: Time of a pass relative to that of the record.
        shared: Whether to return only the part that the member's other views may need as well.
    """
    milliseconds = [
        _number(view, "predict_ms_per_image") * _passes(view, shared=shared) / all_passes(view.info)
        for view in pool.views
    ]
    return np.array(milliseconds) * len(pool.test_ids) * speed_factor / 60_000


def _passes(view: View, *, shared: bool) -> float:
    """Return the passes of a view; of a kind that its parameters do not explain, those of the plain view."""
    work = view_work(view.info)
    own = work.get(view.kind, work[PLAIN])
    return own.shared if shared else own.total


def member_groups(pool: Pool) -> NDArray[np.intp]:
    """Return the member number of each view, int [views]."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(v.member for v in pool.views))}
    return np.array([numbers[view.member] for view in pool.views], dtype=np.intp)


def _number(view: View, name: str) -> float:
    """Return a metric or parameter of a view's member as a number; 0 if it is unknown."""
    try:
        return float(view.info.get(name, 0))
    except (TypeError, ValueError):
        return 0.0
