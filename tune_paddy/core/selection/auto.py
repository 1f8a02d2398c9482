"""Automatic choice of the selection method, by cross-fitting within the select split."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.checks import check_pool
from tune_paddy.core.folds import Groups, count_independent, stratified_folds
from tune_paddy.core.metrics import get_metric
from tune_paddy.core.selection.decisions import fit_decisions, scored
from tune_paddy.core.selection.methods import METHODS, PREFERRED, Method
from tune_paddy.core.selection.result import Candidate, Selection
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.task import Task

REPEATS = 5
CLEAR = 4
"""Standard errors by which another method must be better than the preferred one: the halves overlap, so that
their standard error is too small, and the best of eight methods is better by chance alone."""
LEAST_IMAGES = 2
"""Minimum number of images: one to fit on, one to score."""


def auto_select(
    probs: Floats,
    labels: Labels,
    *,
    metric: str = "log_loss",
    seed: int = 0,
    methods: Mapping[str, Method] = METHODS,
    groups: Groups | None = None,
    task: Task | None = None,
    preferred: str | None = PREFERRED,
) -> Selection:
    """Select with the preferred method, or with another one that is clearly better.

    The images are split into two random halves five times. Every method is fitted on each half and scored
    on the other, see `compare` for the choice; the chosen method is refitted on all images. With fewer than
    `LEAST_IMAGES` images, or groups, nothing can be compared, and the first method is used.

    Source: the 5×2 scheme of Dietterich, "Approximate statistical tests for comparing supervised
    classification learning algorithms", Neural Computation 1998.

    Args:
        probs: float32 [views, images, classes].
        labels: int [images].
        metric: The loss to minimise, a key of `METRICS`.
        seed: Of the halves and of the methods.
        methods: The candidates, simplest first.
        groups: int [images], equal values for images that stay in one half; None: every image is alone.
        task: What the labels are; None: what their array shows. Where the metric judges decisions, thresholds
            are fitted in each half as well.
        preferred: Name of the method that is used unless another is clearly better; None: there is none.

    Returns:
        The selection of the chosen method over all views, with the scores of all methods in `candidates`.

    Raises:
        InputError: The pool is invalid (see `check_pool`), or the metric is unknown.
    """
    check_pool(probs, labels)
    if count_independent(labels, groups) < LEAST_IMAGES:
        return next(iter(methods.values()))(probs, labels, metric=metric, seed=seed)
    halves = score_halves(probs, labels, metric, seed, methods, groups=groups, task=task)
    candidates = compare(list(methods), halves, preferred)
    chosen = next(candidate.method for candidate in candidates if candidate.chosen)
    selection = methods[chosen](probs, labels, metric=metric, seed=seed)
    return replace(selection, candidates=candidates)


def score_halves(
    probs: Floats,
    labels: Labels,
    metric: str,
    seed: int,
    methods: Mapping[str, Method],
    *,
    groups: Groups | None = None,
    task: Task | None = None,
) -> NDArray[np.float64]:
    """Score every method on each half that it was not fitted on, float64 [methods, 2 · `REPEATS`]."""
    score, task = get_metric(metric), task or Task.of_labels(labels)
    rng = np.random.default_rng(seed)
    columns = []
    for _ in range(REPEATS):
        side = stratified_folds(labels, 2, rng, groups)
        for fitted, held in ((side == 0, side == 1), (side == 1, side == 0)):
            part, rest, truth = probs[:, fitted], probs[:, held], labels[fitted]
            selections = [
                fit_decisions(method(part, truth, metric=metric, seed=seed), part, truth, task)
                for method in methods.values()
            ]
            columns.append([score(scored(one, one.blend(rest)), labels[held]) for one in selections])
    return np.array(columns).T


def compare(
    names: list[str], scores: NDArray[np.float64], preferred: str | None = PREFERRED
) -> tuple[Candidate, ...]:
    """Mark the method to use: the preferred one unless another is clearly better.

    That is so if the mean difference of the best is more than `CLEAR` standard errors over the halves. Then,
    and without a preferred method, the first one is used that is within one standard error of the best,
    the rule of Breiman et al., "Classification and regression trees", 1984.

    Args:
        names: Method names, simplest first.
        scores: float64 [methods, halves], lower is better.
        preferred: Name of the preferred method; it may be absent.
    """
    differences = scores - scores[scores.mean(axis=1).argmin()]
    means = differences.mean(axis=1)
    errors = differences.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
    chosen = int(np.flatnonzero(means <= errors)[0])
    if preferred in names and means[own := names.index(preferred)] <= CLEAR * errors[own]:
        chosen = own
    return tuple(
        Candidate(name, float(scores[i].mean()), float(means[i]), float(errors[i]), i == chosen)
        for i, name in enumerate(names)
    )
