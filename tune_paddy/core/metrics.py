"""Metrics of probabilities. All are losses (lower is better), computed in float64.

Every metric takes `(probs, labels)`: probabilities [images, classes] whose rows sum to 1, and integer labels
[images] in `0..classes-1`; or the probabilities of independent labels, [images, labels], and labels of 0 and
1 of the same shape. A class without images has no recall, F1 or ROC curve, so macro averages cover only the
classes that occur in the labels.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.arguments.suggestions import did_you_mean
from tune_paddy.core.errors import InputError
from tune_paddy.core.scores.decided import decided
from tune_paddy.core.scores.f1 import macro_f1_loss, micro_f1_loss, samples_f1_loss, weighted_f1_loss
from tune_paddy.core.scores.kappa import qwk_loss
from tune_paddy.core.scores.ranking import map_loss, roc_auc_loss
from tune_paddy.core.selection.names import RANKED_METRICS, is_metric, ranks_of
from tune_paddy.core.tasks.arrays import Floats, Labels
from tune_paddy.core.tasks.names import MULTILABEL, ORDERED
from tune_paddy.core.tasks.outcomes import one_row_per_answer
from tune_paddy.core.tasks.task import Task

Metric = Callable[[Floats, Labels], float]

EPS = 1e-15
"""Lower bound of a probability before the logarithm; an image at this bound costs 34.5 nats."""

TEMPERATURES = np.array([0.25, 0.35, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 2.75, 3.75, 5.0])
"""The grid of `calibrated_log_loss`: below 1 sharpens (after mixup), above 1 softens."""


def true_class(probs: Floats, labels: Labels) -> NDArray[np.float64]:
    """Return the probability of the truth, float64: of each image's class, or of each answer to a label."""
    if labels.ndim > 1:
        return np.asarray(np.where(labels == 1, probs, 1 - probs).astype(np.float64))
    return np.asarray(probs[np.arange(len(labels)), labels].astype(np.float64))


def log_loss(probs: Floats, labels: Labels) -> float:
    """Return the mean negative log probability of the truth, in nats, clipped at `EPS`.

    The mean is over the images, and over the labels of each.
    """
    return float(-np.log(np.maximum(true_class(probs, labels), EPS)).mean())


def error_rate(probs: Floats, labels: Labels) -> float:
    """Return the share of wrong decisions: of images, or of labels over all images (Hamming loss)."""
    return float((decided(probs, labels) != labels).mean())


def balanced_error(probs: Floats, labels: Labels) -> float:
    """Return the mean over the classes of their error rates, 1 − balanced accuracy.

    With several labels, it is the mean of this over the labels.
    """
    return float((class_balance(labels) * (decided(probs, labels) != labels)).sum())


def class_balance(labels: Labels) -> NDArray[np.float64]:
    """Return weights in the form of the labels, float64, sum 1, that give every class the same total.

    With independent labels, every label has the same total weight, half on images with it and half on images
    without.
    """
    if labels.ndim > 1:
        shares: NDArray[np.float64] = np.stack([class_balance(column) for column in labels.T], axis=1)
        return np.divide(shares, labels.shape[1])
    counts = np.bincount(labels)
    return np.reciprocal(counts[labels].astype(np.float64) * np.count_nonzero(counts))


def per_image(metric: str, probs: Floats, labels: Labels) -> NDArray[np.float64] | None:
    """Return the loss of each image, float64 [images], if the metric is their mean; otherwise None."""
    if metric == "log_loss":
        losses: NDArray[np.float64] = -np.log(np.maximum(true_class(probs, labels), EPS))
    elif metric == "error_rate":
        losses = (decided(probs, labels) != labels).astype(np.float64)
    else:
        return None
    return losses if losses.ndim == 1 else losses.mean(axis=1)


def calibrated_log_loss(probs: Floats, labels: Labels) -> tuple[float, float]:
    """Return the log loss at the best temperature of `TEMPERATURES`, to compare members fairly.

    The probabilities p become p^(1/T), normalised, since a log-linear ensemble rescales every member
    anyway. The temperature is fitted on the same images; with 12 candidates and hundreds of images the
    optimism is negligible compared with the noise of the loss.

    Returns:
        The loss in nats, and the temperature (1 wins ties, then the smaller one).
    """
    probs, labels = one_row_per_answer(probs, labels)
    logits = np.log(np.maximum(probs, EPS), dtype=np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    own = true_class(logits, labels)
    losses = [
        (float(np.log(np.exp(logits / t).sum(axis=1)).mean() - own.mean() / t), abs(np.log(t)), float(t))
        for t in TEMPERATURES
    ]
    loss, _, temperature = min(losses)
    return loss, temperature


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "log_loss": log_loss,
        "error_rate": error_rate,
        "balanced_error": balanced_error,
        "macro_f1": macro_f1_loss,
        "weighted_f1": weighted_f1_loss,
        "micro_f1": micro_f1_loss,
        "samples_f1": samples_f1_loss,
        "roc_auc": roc_auc_loss,
        "map_at_3": partial(map_loss, first=3),
        "map_at_5": partial(map_loss, first=5),
        "qwk": qwk_loss,
    }
)
"""The losses that a selection can minimise, by name; `get_metric` also returns `map_at_k` of other k."""

_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"qwk": (ORDERED,), "micro_f1": (MULTILABEL,), "samples_f1": (MULTILABEL,)}
)
"""Metric → tasks that it serves. Metrics not listed serve every task.

Micro F1 needs several labels: with one class an image, 1 − micro F1 is the error rate.
"""

_SCORES: Mapping[str, str] = MappingProxyType(
    {
        "macro_f1": "macro F1",
        "weighted_f1": "weighted F1",
        "micro_f1": "micro F1",
        "samples_f1": "mean F1",
        "roc_auc": "ROC AUC",
        "qwk": "weighted kappa",
    }
)
"""Metric computed as 1 − a score → display name of the score."""


_COMPLEMENT = "one_minus_"


def metric_label(name: str) -> str:
    """Return the display name of a metric's values, which are losses.

    >>> [metric_label(name) for name in ("log_loss", "macro_f1", "map_at_7")]
    ['log loss', '1 − macro F1', '1 − MAP@7']
    """
    score = _score_of(name)
    return name.replace("_", " ") if score is None else f"1 − {score}"


def _score_of(name: str) -> str | None:
    """Return the display name of the score whose complement a metric is; None: it is no complement."""
    first = ranks_of(name)
    return _SCORES.get(name) if first is None else f"MAP@{first}"


def metric_key(name: str) -> str:
    """Return the name under which a metric's values, which are losses, are recorded.

    >>> [metric_key(name) for name in ("log_loss", "macro_f1")]
    ['log_loss', 'one_minus_macro_f1']
    """
    return name if _score_of(name) is None else f"{_COMPLEMENT}{name}"


def is_metric_key(key: str) -> bool:
    """Return whether values of a metric are recorded under this name.

    >>> [is_metric_key(key) for key in ("log_loss", "one_minus_map_at_7", "map_at_7", "lr")]
    [True, True, False, False]
    """
    name = key.removeprefix(_COMPLEMENT)
    return is_metric(name) and metric_key(name) == key


def get_metric(name: str) -> Metric:
    """Return the metric called `name`: one of `METRICS`, or `map_at_k` of any k up to 1000.

    Raises:
        InputError: There is no such metric.
    """
    first = ranks_of(name)
    if first is not None:
        return partial(map_loss, first=first)
    if name not in METRICS:
        hint = did_you_mean(name, METRICS)
        raise InputError(
            f"unknown metric {name!r}: use one of {', '.join(METRICS)}, or {RANKED_METRICS}{hint}"
        )
    return METRICS[name]


def check_metric(name: str, task: Task) -> None:
    """Raise if a metric does not serve a task.

    Raises:
        InputError: There is no such metric, or it is one of another task.
    """
    get_metric(name)
    needed = _NEEDED.get(name, (task.name,))
    if task.name not in needed:
        way_out = " (classes that are numbers: search with `task` ordered)" if needed == (ORDERED,) else ""
        raise InputError(
            f"metric {name} needs {Task.of(needed[0]).description}{way_out}; the images have "
            f"{task.description}",
            options=("metric", "task") if way_out else ("metric",),
        )
