"""Metrics of class probabilities. All are losses (lower is better), computed in float64.

Every metric takes `(probs, labels)`: probabilities [images, classes] whose rows sum to 1 and
integer labels [images] in `0..classes-1`. A class without images has no recall, F1 or ROC curve, so
macro averages cover only the classes that occur in the labels.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.arguments.suggestions import did_you_mean
from tune_paddy.core.errors import InputError

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]
Metric = Callable[[Floats, Labels], float]

EPS = 1e-15
"""Lower bound of a probability before the logarithm; an image at this bound costs 34.5 nats."""

TEMPERATURES = np.array([0.25, 0.35, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 2.75, 3.75, 5.0])
"""The grid of `calibrated_log_loss`: below 1 sharpens (after mixup), above 1 softens."""


def true_class(probs: Floats, labels: Labels) -> NDArray[np.float64]:
    """Return the probability of each image's true class, float64 [images]."""
    return probs[np.arange(len(labels)), labels].astype(np.float64)


def log_loss(probs: Floats, labels: Labels) -> float:
    """Return the mean negative log probability of the true class, in nats, clipped at `EPS`."""
    return float(-np.log(np.maximum(true_class(probs, labels), EPS)).mean())


def error_rate(probs: Floats, labels: Labels) -> float:
    """Return the share of images whose most probable class is wrong; the first class wins a tie."""
    return float((probs.argmax(axis=1) != labels).mean())


def balanced_error(probs: Floats, labels: Labels) -> float:
    """Return the mean over the classes of their error rates: 1 − balanced accuracy."""
    return float(class_balance(labels) @ (probs.argmax(axis=1) != labels))


def class_balance(labels: Labels) -> NDArray[np.float64]:
    """Return image weights, float64 [images], that give every class that occurs the same total."""
    counts = np.bincount(labels)
    return 1 / (counts[labels] * np.count_nonzero(counts))


def macro_f1_loss(probs: Floats, labels: Labels) -> float:
    """Return 1 − the mean over the classes of F1 = 2 TP / (2 TP + FP + FN)."""
    n_classes = probs.shape[1]
    predicted = probs.argmax(axis=1)
    actual = np.bincount(labels, minlength=n_classes)
    hits = np.bincount(labels[predicted == labels], minlength=n_classes)
    called = np.bincount(predicted, minlength=n_classes)
    present = actual > 0
    return float(1 - (2 * hits[present] / (actual + called)[present]).mean())


def roc_auc_loss(probs: Floats, labels: Labels) -> float:
    """Return 1 − the mean over the classes of the area under the one-versus-rest ROC curve.

    The area is the Mann-Whitney statistic: the chance that an image of the class gets a higher
    probability of it than an image of another class, ties counted half. If all labels are of one class
    there is no curve, and the loss is that of chance, 0.5.
    """
    from scipy.stats import rankdata  # noqa: PLC0415 - half a second, for this metric only

    positives = np.bincount(labels, minlength=probs.shape[1])
    classes = np.flatnonzero((positives > 0) & (positives < len(labels)))
    if not len(classes):
        return 0.5
    ranks = rankdata(probs[:, classes].astype(np.float64), axis=0)  # scipy 1.18 ranks in the input's type
    n_positive = positives[classes]
    rank_sums = np.array([ranks[labels == c, column].sum() for column, c in enumerate(classes)])
    wins = rank_sums - n_positive * (n_positive + 1) / 2
    return float(1 - (wins / (n_positive * (len(labels) - n_positive))).mean())


def per_image(metric: str, probs: Floats, labels: Labels) -> NDArray[np.float64] | None:
    """Return the loss of each image, float64 [images], if the metric is their mean; otherwise None."""
    if metric == "log_loss":
        losses: NDArray[np.float64] = -np.log(np.maximum(true_class(probs, labels), EPS))
        return losses
    if metric == "error_rate":
        wrong: NDArray[np.bool_] = probs.argmax(axis=1) != labels
        return wrong.astype(np.float64)
    return None


def calibrated_log_loss(probs: Floats, labels: Labels) -> tuple[float, float]:
    """Return the log loss at the best temperature of `TEMPERATURES`, to compare members fairly.

    The probabilities p become p^(1/T), normalised, since a log-linear ensemble rescales every member
    anyway. The temperature is fitted on the same images; with 12 candidates and hundreds of images the
    optimism is negligible compared with the noise of the loss.

    Returns:
        The loss in nats, and the temperature (1 wins ties, then the smaller one).
    """
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
        "roc_auc": roc_auc_loss,
    }
)
"""The losses that a selection can minimise, by name."""


_SCORES: Mapping[str, str] = MappingProxyType({"macro_f1": "macro F1", "roc_auc": "ROC AUC"})
"""Metric computed as 1 − a score → display name of the score."""


def metric_label(name: str) -> str:
    """Return the display name of a metric's values, which are losses.

    >>> [metric_label(name) for name in ("log_loss", "macro_f1")]
    ['log loss', '1 − macro F1']
    """
    return f"1 − {_SCORES[name]}" if name in _SCORES else name.replace("_", " ")


def metric_key(name: str) -> str:
    """Return the name under which a metric's values, which are losses, are recorded.

    >>> [metric_key(name) for name in ("log_loss", "macro_f1")]
    ['log_loss', 'one_minus_macro_f1']
    """
    return f"one_minus_{name}" if name in _SCORES else name


def get_metric(name: str) -> Metric:
    """Return the metric called `name` in `METRICS`.

    Raises:
        InputError: There is no such metric.
    """
    if name not in METRICS:
        hint = did_you_mean(name, METRICS)
        raise InputError(f"unknown metric {name!r}: use one of {', '.join(METRICS)}{hint}")
    return METRICS[name]
