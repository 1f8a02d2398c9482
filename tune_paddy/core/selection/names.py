"""Names of the selection methods and of the losses that they minimise.

Help screens list them, and numpy, which the methods need, takes longer to import than a help screen may take.
"""

import re
from typing import Literal, get_args

METHOD_NAMES = (
    "uniform",
    "best_single",
    "top",
    "log_linear",
    "greedy",
    "bagged",
    "bagged_calibrated",
    "bagged_errors",
)
"""Keys of `METHODS` in `methods`, in its order."""

MetricName = Literal[
    "log_loss",
    "error_rate",
    "balanced_error",
    "macro_f1",
    "weighted_f1",
    "micro_f1",
    "samples_f1",
    "roc_auc",
    "map_at_3",
    "map_at_5",
    "qwk",
]
"""Type of a key of `METRICS` in `core.metrics`."""

METRIC_NAMES: tuple[str, ...] = get_args(MetricName)
"""Keys of `METRICS`, in its order."""

RANKED_METRICS = "map_at_ and a number up to 1000"
"""Names of further metrics, in words."""

_RANKED = re.compile("map_at_([1-9][0-9]{0,2}|1000)")


def ranks_of(metric: str) -> int | None:
    """Return the number of classes that count in a metric of the most probable ones; None: it is none.

    >>> [ranks_of(name) for name in ("map_at_7", "map_at_0", "log_loss")]
    [7, None, None]
    """
    found = _RANKED.fullmatch(metric)
    return None if found is None else int(found[1])


def is_metric(name: str) -> bool:
    """Return whether there is a metric of this name: one of `METRIC_NAMES` or `RANKED_METRICS`."""
    return name in METRIC_NAMES or ranks_of(name) is not None
