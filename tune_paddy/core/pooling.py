"""Combination rules: pool weighted views into one prediction, and apply temperatures."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import EPS
from tune_paddy.core.tasks.arrays import Floats
from tune_paddy.core.tasks.outcomes import answers

Rule = Literal["mean", "log_linear"]
"""`mean`: Σ w·p, the linear opinion pool. `log_linear`: softmax(Σ w·log p), the logarithmic one."""

LEAST_TEMPERATURE, MOST_TEMPERATURE = 1e-6, 1e6
"""Bounds far outside any fitted temperature, within which scaled logarithms stay finite."""

DOUBT = 0.03
"""Share of the uniform distribution mixed into a view before its logarithm is pooled.

In a product, one view that is certain and wrong would outvote all others.
"""


def pool(
    probs: Floats,
    weights: NDArray[np.float64],
    *,
    rule: Rule = "mean",
    temperature: float = 1.0,
    member_temperatures: NDArray[np.float64] | None = None,
    independent: bool = False,
) -> NDArray[np.float64]:
    """Combine the views with a rule, then apply the final temperature.

    Independent labels are pooled one by one, as two classes each.

    Source: Genest and Zidek, "Combining probability distributions: a critique and an annotated
    bibliography", Statistical Science 1986.

    Args:
        probs: float32 [views, images, classes]; may be memory-mapped: views without weight are not read.
        weights: Ensemble weights, float64 [views], ≥ 0.
        rule: Combination rule.
        temperature: Final temperature: the pooled p becomes p^(1/temperature), normalised.
        member_temperatures: Temperature of each view before pooling, float64 [views]; None: 1 for all.
        independent: Whether the probabilities of an image are those of independent labels.

    Returns:
        Pooled probabilities, float64 [images, classes].
    """
    transform = doubted_logs if rule == "log_linear" else np.asarray
    form = answers if independent else np.asarray
    pooled = np.zeros((*probs.shape[1:], 2) if independent else probs.shape[1:])
    for view in np.flatnonzero(weights):
        own = 1.0 if member_temperatures is None else float(member_temperatures[view])
        pooled += weights[view] * transform(soften(form(probs[view]), own))
    pooled = softmax(pooled / temperature) if rule == "log_linear" else soften(pooled, temperature)
    return pooled[..., 1] if independent else pooled


def soften(probs: Floats, temperature: float) -> NDArray[np.float64]:
    """Return p^(1/temperature), normalised over the last axis; a temperature of 1 changes nothing."""
    if temperature == 1:
        return probs.astype(np.float64)
    return softmax(np.log(np.maximum(probs, EPS), dtype=np.float64) / temperature)


def doubted_logs(probs: Floats) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities with `DOUBT` mixed in, float64."""
    logs: NDArray[np.float64] = np.log((1 - DOUBT) * probs.astype(np.float64) + DOUBT / probs.shape[-1])
    return logs


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return probabilities from logits, over the last axis."""
    powers: NDArray[np.float64] = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers
