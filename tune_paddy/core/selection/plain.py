"""Basic selection methods: greedy, fixed weights, uniform, best single and top."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.arguments.checked import checked
from tune_paddy.core.checks import check_pool
from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import EPS, class_balance, get_metric, log_loss
from tune_paddy.core.selection.greedy import Scorer, run_greedy
from tune_paddy.core.selection.greedy_any import AnyScorer
from tune_paddy.core.selection.greedy_error import ErrorScorer
from tune_paddy.core.selection.greedy_log_loss import LogLossScorer, true_class_rows
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.outcomes import one_row_per_answer
from tune_paddy.core.tasks.task import Task

ERROR_RATES = frozenset(("error_rate", "balanced_error"))
"""Metrics that are weighted shares of wrong images."""


@checked
def greedy_select(probs: Floats, labels: Labels, *, metric: str = "log_loss", rounds: int = 100) -> Selection:
    """Select views by greedy forward selection with replacement.

    Ties of the metric go to the lower log loss, then to the first view. The best prefix of the rounds is
    kept. Source: Caruana et al., "Ensemble selection from libraries of models", ICML 2004.

    Args:
        probs: float32 [views, images, classes]; may be memory-mapped.
        labels: int [images].
        metric: The loss to minimise, a key of `METRICS`.
        rounds: Number of views to add, repetitions included.

    Returns:
        The selection, with its greedy path.

    Raises:
        InputError: The pool is invalid (see `check_pool`), the metric is unknown, or `rounds` is below 1.
    """
    check_pool(probs, labels)
    if rounds < 1:
        raise InputError(f"greedy selection needs at least one round, not {rounds}")
    rows = true_class_rows(probs, labels)
    path = run_greedy(make_scorer(probs, labels, rows, metric), rounds)
    weights = path.weights(len(probs))
    return Selection(
        weights,
        score=path.picks[path.kept - 1].score,
        metric=metric,
        method="greedy",
        task=Task.of_labels(labels).name,
        trajectory=tuple(pick.score for pick in path.picks),
        order=tuple(pick.view for pick in path.picks),
        kept=path.kept,
        gap=optimality_gap(rows, weights),
    )


def fixed_select(
    probs: Floats,
    labels: Labels,
    weights: Sequence[float] | NDArray[np.floating[Any]],
    *,
    metric: str = "log_loss",
) -> Selection:
    """Select with given ensemble weights, [views], scaled to sum to 1.

    Raises:
        InputError: The pool or the weights are invalid.
    """
    check_pool(probs, labels)
    given = np.asarray(weights, np.float64)
    if given.shape != (len(probs),) or not (np.isfinite(given).all() and given.min() >= 0 and given.any()):
        raise InputError(f"need {len(probs)} weights: finite, none negative, at least one positive")
    return with_score(Selection(given / given.sum(), np.nan, metric, "fixed"), probs, labels)


def uniform_select(probs: Floats, labels: Labels, *, metric: str = "log_loss") -> Selection:
    """Select the unweighted mean of all views.

    Raises:
        InputError: The pool is invalid.
    """
    return top_select(probs, labels, metric=metric, count=len(probs), method="uniform")


def best_single(probs: Floats, labels: Labels, *, metric: str = "log_loss") -> Selection:
    """Select the best view; ties go to the lower log loss, then to the first view.

    Raises:
        InputError: The pool is invalid.
    """
    return top_select(probs, labels, metric=metric, count=1, method="best_single")


def top_select(
    probs: Floats, labels: Labels, *, metric: str = "log_loss", count: int = 5, method: str = "top"
) -> Selection:
    """Select the unweighted mean of the `count` best single views.

    Raises:
        InputError: The pool is invalid.
    """
    check_pool(probs, labels)
    score = get_metric(metric)
    ranking = sorted((score(view, labels), log_loss(view, labels), i) for i, view in enumerate(probs))
    weights = np.zeros(len(probs))
    weights[[i for _, _, i in ranking[:count]]] = 1 / min(count, len(probs))
    return with_score(Selection(weights, np.nan, metric, method), probs, labels)


def with_score(selection: Selection, probs: Floats, labels: Labels) -> Selection:
    """Return the selection with its task, its score on these images and the optimality gap of a mean."""
    selection = replace(selection, task=Task.of_labels(labels).name)
    score = get_metric(selection.metric)(selection.blend(probs), labels)
    plain = selection.rule == "mean" and selection.temperature == 1 and selection.member_temperatures is None
    gap = optimality_gap(true_class_rows(probs, labels), selection.weights) if plain else None
    return replace(selection, score=score, gap=gap)


def among_all(selection: Selection, chosen: NDArray[np.intp], n_views: int) -> Selection:
    """Turn a selection over some views into one over all views; the others have weight 0.

    Args:
        selection: Selection whose weights and order refer to the `chosen` views.
        chosen: int [chosen views], indices among all views.
        n_views: Number of views of the pool.
    """
    weights = np.zeros(n_views)
    weights[chosen] = selection.weights
    temperatures = None
    if selection.member_temperatures is not None:
        temperatures = np.ones(n_views)
        temperatures[chosen] = selection.member_temperatures
    order = tuple(int(chosen[view]) for view in selection.order)
    return replace(selection, weights=weights, member_temperatures=temperatures, order=order)


def make_scorer(
    probs: Floats, labels: Labels, rows: Floats, metric: str, views: NDArray[np.intp] | None = None
) -> Scorer:
    """Return the fastest scorer for the metric.

    Args:
        probs: float32 [views, images, classes].
        labels: int [images].
        rows: The pool's `true_class_rows`.
        metric: A key of `METRICS`.
        views: Indices of the candidates, which the scorer renumbers from 0; None: all views.
    """
    candidates = slice(None) if views is None else views
    if metric == "log_loss":
        return LogLossScorer(rows[candidates])
    if metric in ERROR_RATES:
        answers, truth = one_row_per_answer(probs[candidates], labels)
        return ErrorScorer(answers, truth, rows[candidates], image_weights(labels, metric).ravel())
    return AnyScorer(probs[candidates], labels, rows[candidates], get_metric(metric))


def image_weights(labels: Labels, metric: str) -> NDArray[np.float64]:
    """Return the weight of each decision in one of the `ERROR_RATES`, float64 as the labels, sum 1."""
    return class_balance(labels) if metric == "balanced_error" else np.full(labels.shape, 1 / labels.size)


def optimality_gap(rows: Floats, weights: NDArray[np.float64]) -> float:
    """Return a bound on the log loss that other weights of a mean could still gain, in nats, ≥ 0.

    With p the true-class probabilities [views, images] and m their mean under `weights`, the gap is the
    maximum over views of mean(p / m) − 1: log x ≤ x − 1 bounds the gain of any mixture, and a linear
    function of a mixture is largest at a single view.
    """
    used = np.flatnonzero(weights)
    slopes = 1 / np.maximum(weights[used] @ rows[used], EPS)
    return max(0.0, max(float(row @ slopes) for row in rows) / len(slopes) - 1)
