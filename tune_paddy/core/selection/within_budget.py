"""Selection by any method within a budget of inference time, size or number of members.

A limit that the unlimited selection respects does not change it. A limit that binds can be respected in two
ways, which compete: choose the views first (see `choose_within`) and let each method select from them, or
let the unlimited choice's own method select from all views, and keep the heaviest that fit.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.checks import check_pool
from tune_paddy.core.folds import Groups
from tune_paddy.core.selection.auto import auto_select
from tune_paddy.core.selection.cost_budget import CostBudget, check_budget, choose_within
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.methods import METHODS, Method
from tune_paddy.core.selection.plain import among_all
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.task import Task

TRIMMED = "{}, trimmed"
"""Name of the candidate that keeps the heaviest views of a method's unlimited selection."""


def budget_select(
    probs: Floats,
    labels: Labels,
    budget: CostBudget,
    *,
    select: Method,
    metric: str = "log_loss",
    seed: int = 0,
) -> Selection:
    """Select with one method: from all views if that fits, otherwise from views chosen within the budget.

    Args:
        probs: float32 [views, images, classes], predictions of the select split.
        labels: int [images], true classes.
        budget: Costs of the views, and their limits.
        select: Selection method.
        metric: Name of the loss that `select` minimises.
        seed: Seed of `select`.

    Returns:
        A selection of all views; those that were not chosen have no weight. Its `order` counts all views.

    Raises:
        InputError: The pool cannot be selected from, or no single view is within the budget.
    """
    check_pool(probs, labels)
    check_budget(probs, budget)
    free = select(probs, labels, metric=metric, seed=seed)
    if fits(free, budget):
        return free
    return _Chosen(select, _Views(budget))(probs, labels, metric=metric, seed=seed)


def budget_auto_select(
    probs: Floats,
    labels: Labels,
    budget: CostBudget,
    *,
    metric: str = "log_loss",
    seed: int = 0,
    methods: Mapping[str, Method] = METHODS,
    groups: Groups | None = None,
    task: Task | None = None,
) -> Selection:
    """Choose the method by cross-fitting, as `auto_select` does, within the budget.

    The views are chosen anew in each half: chosen on all images, they would have seen the images that the
    methods are scored on.

    Args:
        probs: float32 [views, images, classes], predictions of the select split.
        labels: int [images], true classes.
        budget: Costs of the views, and their limits.
        metric: Name of the loss to minimise.
        seed: Seed of the halves and of the methods.
        methods: Candidates, simplest first.
        groups: int [images], see `auto_select`.
        task: What the labels are; None: what their array shows.

    Returns:
        The selection of `auto_select` if that is within the budget; otherwise as `budget_select`.

    Raises:
        InputError: As `budget_select`.
    """
    check_pool(probs, labels)
    check_budget(probs, budget)
    free = auto_select(probs, labels, metric=metric, seed=seed, methods=methods, groups=groups, task=task)
    if fits(free, budget):
        return free
    chosen = (candidate.method for candidate in free.candidates if candidate.chosen)
    favourite = next(chosen, free.method)
    views = _Views(budget)
    bounded: dict[str, Method] = {}
    for name, method in methods.items():
        bounded[name] = _Chosen(method, views)
        if name == favourite:
            bounded[TRIMMED.format(name)] = _Trimmed(method, budget)
    # Views that are chosen first do not make a method the better one.
    return auto_select(
        probs,
        labels,
        metric=metric,
        seed=seed,
        methods=bounded,
        groups=groups,
        task=task,
        preferred=None,
    )


def fits(selection: Selection, budget: CostBudget) -> bool:
    """Whether the views with weight are within the budget."""
    return budget.allows(np.flatnonzero(selection.weights).tolist())


class _Views:
    """Chooses views within a budget; methods that are fitted on the same images share one choice."""

    def __init__(self, budget: CostBudget) -> None:
        self._budget = budget
        self._last: tuple[Floats, NDArray[np.intp]] | None = None

    def __call__(self, probs: Floats, labels: Labels) -> NDArray[np.intp]:
        if self._last is None or self._last[0] is not probs:
            chosen = choose_within(true_class_rows(probs, labels), self._budget).views
            self._last = probs, np.sort(np.array(chosen, dtype=np.intp))
        return self._last[1]


class _Chosen:
    """A method that selects from the views that are chosen within a budget."""

    def __init__(self, method: Method, views: _Views) -> None:
        self._method, self._views = method, views

    def __call__(self, probs: Floats, labels: Labels, *, metric: str, seed: int) -> Selection:
        views = self._views(probs, labels)
        return among_all(self._method(probs[views], labels, metric=metric, seed=seed), views, len(probs))


class _Trimmed:
    """A method that selects from all affordable views, then again from the heaviest that fit together."""

    def __init__(self, method: Method, budget: CostBudget) -> None:
        self._method, self._budget = method, budget

    def __call__(self, probs: Floats, labels: Labels, *, metric: str, seed: int) -> Selection:
        affordable = [view for view in range(len(probs)) if self._budget.allows([view])]
        weights = self._method(probs[affordable], labels, metric=metric, seed=seed).weights
        kept: list[int] = []
        for index in np.argsort(-weights, kind="stable").tolist():
            if weights[index] > 0 and self._budget.allows([*kept, affordable[index]]):
                kept.append(affordable[index])
        views = np.sort(np.array(kept, dtype=np.intp))
        return among_all(self._method(probs[views], labels, metric=metric, seed=seed), views, len(probs))
