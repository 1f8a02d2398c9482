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

METRIC_NAMES = ("log_loss", "error_rate", "balanced_error", "macro_f1", "roc_auc")
"""Keys of `METRICS` in `core.metrics`, in its order."""
