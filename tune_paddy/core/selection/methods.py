"""Registry of the selection methods, simplest first, and their common protocol."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from tune_paddy.core.selection.bagging import bagged_calibrated_select, bagged_errors_select, bagged_select
from tune_paddy.core.selection.log_linear import log_linear_select
from tune_paddy.core.selection.plain import best_single, greedy_select, top_select, uniform_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.arrays import Floats, Labels


class Method(Protocol):
    """Selection method; deterministic for a given seed."""

    def __call__(self, probs: Floats, labels: Labels, *, metric: str, seed: int) -> Selection:
        """Select from float32 [views, images, classes] with labels int [images]."""


def _without_seed(select: Callable[..., Selection]) -> Method:
    """Wrap a deterministic method in the protocol's signature."""

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
"""Methods by name, simplest first: the fewer choices a method makes, the less noise it can fit.

The first three choose no view, one or five. The log-linear fit shrinks all weights towards each other.
Greedy selection makes hard choices of views, and the bagged methods repeat it.
"""

PREFERRED = "log_linear"
"""Method that is used unless another is clearly better: where images are few, it draws the weights towards
equal ones by itself, and their halves are a poor judge (benchmarks/LOG.md, "Selection: quality")."""
