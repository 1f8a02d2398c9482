"""What Ray and its workers read from the environment; set before this package imports Ray."""

import importlib.util
import os
import sys
from pathlib import Path

from tune_paddy.data.system.files import is_mine_alone, make_private_folder

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
    # A stopped trial's thread ends at its next report; Ray would fail the *next* trial after two seconds.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "120",
    "TUNE_WARN_THRESHOLD_S": "60",
}

WARMED = "tune_paddy.search.ray.warm_up"
MOST_WARMED = 4
"""CPUs up to which a worker for each imports torch beforehand: 600 MiB of its own each, used or not."""


def prepare_environment() -> None:
    """Set what Ray reads when it is imported; what a person has set stands."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def warm_workers(cpus: int) -> None:
    """Let the Ray that is started next import what trials need before there are any trials.

    Ray starts a process for each CPU at once, and preloads modules where it is told to. It also ends
    processes that are idle for a second beyond the number of free CPUs, and a placement group takes its
    CPUs before its actor has got a process: so the first trials would find none, but for the limit.

    Args:
        cpus: Of this machine; with more than `MOST_WARMED`, workers start cold, each at its first trial.
    """
    if cpus <= MOST_WARMED:
        os.environ.setdefault("RAY_preload_python_modules", WARMED)
        os.environ.setdefault("RAY_num_workers_soft_limit", str(cpus))


def keep_byte_code(cache: Path) -> None:
    """Keep compiled modules in a folder of our own where nobody keeps them elsewhere.

    Containers often forbid Python to write byte code (PYTHONDONTWRITEBYTECODE) into packages that were
    installed without any; then every process, each of Ray's too, compiles torch and fastai again: 10 s and
    more. Packages that were compiled on installation are left alone, and nothing is written beside them.

    Args:
        cache: The folder, made when missing; not used where others may write, who could put programs there.
    """
    if not sys.dont_write_bytecode or sys.pycache_prefix or _is_compiled("ray"):
        return
    try:
        if not is_mine_alone(make_private_folder(cache)):
            return
    except OSError:  # no place for a cache
        return
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(cache)
    del os.environ["PYTHONDONTWRITEBYTECODE"]  # for child processes
    os.environ["PYTHONPYCACHEPREFIX"] = str(cache)


def _is_compiled(package: str) -> bool:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return False
    return Path(importlib.util.cache_from_source(spec.origin)).exists()
