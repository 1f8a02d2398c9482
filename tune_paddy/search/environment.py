"""What Ray reads from the environment when it is imported; set before this package imports it."""

import os

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run`, Ray would start every worker through uv again, from a copy of the working folder.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray renices its workers to 15; on a machine of one's own that only slows training down.
    "RAY_worker_niceness": "0",
    # Despite its name it works everywhere: without clusters, every socket is bound to 127.0.0.1 alone. A
    # cluster that others have started can still be connected to.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # A person's Ctrl-C is this package's to handle: see `interruption`.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # An infeasible or diverged member has no score, and is not to be given one.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
}


def prepare_environment() -> None:
    """Set what Ray reads when it is imported; what a person has set stands."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
