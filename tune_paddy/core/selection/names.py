"""Names of the selection methods and of the losses that they minimise.

Help screens list them, and numpy, which the methods need, takes longer to import than a help screen may take.
"""

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

METRIC_NAMES = (
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
)
"""Keys of `METRICS` in `core.metrics`, in its order."""
