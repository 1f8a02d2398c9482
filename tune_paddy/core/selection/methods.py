"""The selection methods by name, simplest first; one protocol for all of them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from tune_paddy.core.metrics import Floats, Labels
from tune_paddy.core.selection.bagging import bagged_calibrated_select, bagged_errors_select, bagged_select
from tune_paddy.core.selection.log_linear import log_linear_select
from tune_paddy.core.selection.plain import best_single, greedy_select, top_select, uniform_select
from tune_paddy.core.selection.result import Selection


class Method(Protocol):
    """A way to select from a pool; deterministic, given the seed."""

    def __call__(self, probs: Floats, labels: Labels, *, metric: str, seed: int) -> Selection:
        """Select from float32 [views, images, classes] with labels int [images]."""


def _without_seed(select: Callable[..., Selection]) -> Method:
    """Give a method without randomness the protocol's signature."""

    def method(probs: Floats, labels: Labels, *, metric: str, seed: int) -> Selection:  # noqa: ARG001
        return select(probs, labels, metric=metric)

    return method


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "uniform": _without_seed(uniform_select),
        "best_single": _without_seed(best_single),
        "top": _without_seed(top_select),
        "log_linear": _without_seed(log_linear_select),
        "greedy": _without_seed(greedy_select),
        "bagged": bagged_select,
        "bagged_calibrated": bagged_calibrated_select,
        "bagged_errors": bagged_errors_select,
    }
)
"""Simplest first: the fewer choices a method makes between views, the less noise it can follow.

The first three choose none, one or five; the log-linear fit shrinks all weights towards each other;
greedy selection picks views by hard decisions, and the bagged methods do so many times over.
"""
