"""Log-linear pooling: one smooth fit of all ensemble weights and the temperature.

The pooled prediction is softmax(Σ v·log p), with v ≥ 0; of independent labels that of each label.
The fit minimises its log loss plus two penalties.
The penalty on Σ v² spreads weight over similar views. The penalty on (log Σ v)² keeps the temperature
1 / Σ v near 1 when images are few.

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

SPREAD = 0.1
"""Penalty on the sum of squared weights, in nats per image."""
SCALE = 2.0
"""Penalty on the squared logarithm of the weights' sum, in nats over the whole split."""
SMALLEST = 0.01
"""Smallest share of the weights that a view keeps: smaller ones cost inference and gain almost nothing."""


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
    values = _fit(logs, labels.size)
    kept = np.flatnonzero(values >= SMALLEST * values.sum())
    values = np.zeros(len(probs))
    values[kept] = _fit(logs[kept], labels.size)
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


def _fit(logs: NDArray[np.float32], n_images: int) -> NDArray[np.float64]:
    """Return the best v, float64 [views]."""
    n_views = len(logs)
    found = minimize(
        _loss_and_gradient,
        np.full(n_views, 1 / n_views),
        args=(logs, n_images),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * n_views,
        options={"maxiter": 200},
    )
    values: NDArray[np.float64] = found.x
    return values


def _loss_and_gradient(
    values: NDArray[np.float64], logs: NDArray[np.float32], n_images: int
) -> tuple[float, NDArray[np.float64]]:
    """Return the penalised log loss of the weights, and its gradient."""
    logits = (values.astype(np.float32) @ logs).reshape(n_images, -1).astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    shares = np.exp(logits - top)
    totals = shares.sum(axis=1, keepdims=True)
    loss = float((np.log(totals) + top).mean())
    gradient = logs @ (shares / (totals * n_images)).astype(np.float32).ravel()
    total = max(values.sum(), 1e-9)
    loss += SPREAD * float(values @ values) + SCALE * np.log(total) ** 2 / n_images
    return loss, gradient + 2 * SPREAD * values + 2 * SCALE * np.log(total) / (total * n_images)
