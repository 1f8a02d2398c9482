"""Log-linear pooling: one smooth fit of all ensemble weights and the temperature.

The pooled prediction is softmax(Σ v·log p), with v ≥ 0; of independent labels that of each label.
The fit minimises its log loss plus two penalties, which count the less the more images there are.
The penalty on Σ (v − mean v)² draws the weights towards equal ones, and the more so the more views there
are to choose from. The penalty on (log Σ v)² keeps the temperature 1 / Σ v near 1.

Source: Heskes, "Selecting weighting factors in logarithmic opinion pools", NeurIPS 1997; the penalties
are an addition of this project.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tune_paddy.core.checks import check_pool
from tune_paddy.core.pooling import doubted_logs
from tune_paddy.core.selection.plain import with_score
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.outcomes import one_row_per_answer

SPREAD = 0.2
"""Penalty on the sum of the weights' squared distances from their mean, in nats over the whole split and per
view of the pool: as if each weight were known beforehand to lie about the mean, with a variance of
1 / (2 · `SPREAD` · views)."""
SCALE = 2.0
"""Penalty on the squared logarithm of the weights' sum, in nats over the whole split."""
SMALLEST = 0.01
"""Smallest share of the weights that a view keeps, half of the mean share where that is less: smaller ones
cost inference and gain almost nothing."""


def log_linear_select(probs: Floats, labels: Labels, *, metric: str = "log_loss") -> Selection:
    """Fit the weights of a log-linear pool on log loss, whatever the metric.

    Args:
        probs: float32 [views, images, classes]; the fit allocates as much memory again.
        labels: int [images].
        metric: Metric that the selection is scored on, a key of `METRICS`.

    Raises:
        InputError: The pool is invalid (see `check_pool`).
    """
    check_pool(probs, labels)
    logs = _relative_logs(*one_row_per_answer(probs, labels))
    spread = SPREAD * len(probs) / labels.size
    values = _fit(logs, labels.size, spread)
    kept = np.flatnonzero(values >= min(SMALLEST, 0.5 / len(probs)) * values.sum())
    values = np.zeros(len(probs))
    values[kept] = _fit(logs[kept], labels.size, spread)
    total = float(values.sum())
    selection = Selection(
        values / total, np.nan, metric, "log_linear", rule="log_linear", temperature=1 / total
    )
    return with_score(selection, probs, labels)


def _relative_logs(probs: Floats, labels: Labels) -> NDArray[np.float32]:
    """Return log probabilities minus that of the true class, float32 [views, images · classes]."""
    images = np.arange(len(labels))
    relative = np.empty((len(probs), probs.shape[1] * probs.shape[2]), np.float32)
    for row, view in zip(relative, probs, strict=True):
        logs = doubted_logs(view)
        row[:] = (logs - logs[images, labels][:, None]).ravel()
    return relative


def _fit(logs: NDArray[np.float32], n_images: int, spread: float) -> NDArray[np.float64]:
    """Return the best v, float64 [views]; `spread` is the penalty's strength, in nats per image."""
    n_views = len(logs)
    found = minimize(
        _loss_and_gradient,
        np.full(n_views, 1 / n_views),
        args=(logs, n_images, spread),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * n_views,
        options={"maxiter": 200},
    )
    values: NDArray[np.float64] = found.x
    return values


def _loss_and_gradient(
    values: NDArray[np.float64], logs: NDArray[np.float32], n_images: int, spread: float
) -> tuple[float, NDArray[np.float64]]:
    """Return the penalised log loss of the weights, and its gradient."""
    logits = (values.astype(np.float32) @ logs).reshape(n_images, -1).astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    shares = np.exp(logits - top)
    totals = shares.sum(axis=1, keepdims=True)
    loss = float((np.log(totals) + top).mean())
    gradient = logs @ (shares / (totals * n_images)).astype(np.float32).ravel()
    total = max(values.sum(), 1e-9)
    distances = values - values.mean()
    loss += spread * float(distances @ distances) + SCALE * np.log(total) ** 2 / n_images
    return loss, gradient + 2 * spread * distances + 2 * SCALE * np.log(total) / (total * n_images)
