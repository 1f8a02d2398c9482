"""Bagged greedy selection: the average of several greedy runs, each on a random half of the views.

Averaging makes the ensemble weights depend less on which views happened to do best on the select split.
Source: Caruana et al., "Ensemble selection from libraries of models", ICML 2004, section 2.3.
"""

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.checks import check_pool
from tune_paddy.core.pooling import pool
from tune_paddy.core.scores.temperature import fit_member_temperatures, fit_temperature
from tune_paddy.core.selection.greedy import GreedyPath, run_greedy
from tune_paddy.core.selection.greedy_bags import LARGEST, ErrorBags, LogLossBags, run_bags
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.plain import ERROR_RATES, image_weights, make_scorer, with_score
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.outcomes import one_row_per_answer
from tune_paddy.core.tasks.task import Task

BAGS = 10
ROUNDS = 25


def bagged_select(probs: Floats, labels: Labels, *, metric: str = "log_loss", seed: int = 0) -> Selection:
    """Select the weighted mean of the views, with the average weights of `BAGS` greedy runs on the metric.

    Args:
        probs: float32 [views, images, classes].
        labels: int [images].
        metric: The loss to minimise, a key of `METRICS`.
        seed: Seed of the random halves.

    Raises:
        InputError: The pool is invalid (see `check_pool`), or the metric is unknown.
    """
    check_pool(probs, labels)
    weights = _bagged_weights(probs, labels, metric, seed)
    return with_score(Selection(weights, np.nan, metric, "bagged"), probs, labels)


def bagged_errors_select(
    probs: Floats, labels: Labels, *, metric: str = "log_loss", seed: int = 0
) -> Selection:
    """Run `bagged_select` on the error rate, then fit a temperature on log loss; score on the metric.

    Views that are right together but unsure, once sharpened, beat views chosen for their confidence.
    """
    check_pool(probs, labels)
    weights = _bagged_weights(probs, labels, "error_rate", seed)
    independent = Task.of_labels(labels).independent
    temperature = fit_temperature(pool(probs, weights, independent=independent), labels)
    selection = Selection(weights, np.nan, metric, "bagged_errors", temperature=temperature)
    return with_score(selection, probs, labels)


def bagged_calibrated_select(
    probs: Floats, labels: Labels, *, metric: str = "log_loss", seed: int = 0
) -> Selection:
    """Fit a temperature per view, run `bagged_select` on the results, then fit a final temperature."""
    check_pool(probs, labels)
    own = fit_member_temperatures(probs, labels)
    independent = Task.of_labels(labels).independent
    alone = np.ones(1)
    calibrated = np.stack(
        [
            pool(view[None], alone, temperature=t, independent=independent).astype(np.float32)
            for view, t in zip(probs, own, strict=True)
        ]
    )
    weights = _bagged_weights(calibrated, labels, metric, seed)
    temperature = fit_temperature(pool(calibrated, weights, independent=independent), labels)
    selection = Selection(
        weights, np.nan, metric, "bagged_calibrated", temperature=temperature, member_temperatures=own
    )
    return with_score(selection, probs, labels)


def _bagged_weights(probs: Floats, labels: Labels, metric: str, seed: int) -> NDArray[np.float64]:
    """Return the average weights of the greedy runs, float64 [views]."""
    rng = np.random.default_rng(seed)
    half = (len(probs) + 1) // 2
    views = np.array([np.sort(rng.permutation(len(probs))[:half]) for _ in range(BAGS)])
    weights = np.zeros(len(probs))
    for own, path in zip(views, _paths(probs, labels, metric, views), strict=True):
        weights[own] += path.weights(half) / BAGS
    return weights


def _paths(probs: Floats, labels: Labels, metric: str, views: NDArray[np.intp]) -> list[GreedyPath]:
    """Run greedy selection on each row of `views` [runs, candidates]; side by side if the pool is small."""
    rows = true_class_rows(probs, labels)
    if views.size * labels.size <= LARGEST:
        if metric == "log_loss":
            return run_bags(LogLossBags(rows, views), ROUNDS)
        if metric in ERROR_RATES:
            answers, truth = one_row_per_answer(probs, labels)
            weights = image_weights(labels, metric).ravel()
            return run_bags(ErrorBags(answers, truth, rows, weights, views), ROUNDS)
    return [run_greedy(make_scorer(probs, labels, rows, metric, own), ROUNDS) for own in views]
