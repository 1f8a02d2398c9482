"""Environment variables of Ray and its workers; set before this package imports Ray."""

import importlib.util
import os
import sys
from pathlib import Path

from tune_paddy.data.system.files import is_mine_alone, make_private_folder

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run`, Ray would start every worker through uv again, from a copy of the working folder.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray renices its workers to 15, which slows training down.
    "RAY_worker_niceness": "0",
    # Despite its name it works everywhere: with 0, Ray binds every socket to 127.0.0.1 alone. Connecting to
    # an existing cluster still works.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # This package handles Ctrl-C itself, see `interruption`.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # An infeasible or diverged member reports no score.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # A stopped trial's thread ends at its next report; Ray would fail the *next* trial after two seconds.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "120",
    "TUNE_WARN_THRESHOLD_S": "60",
}

WARMED = "tune_paddy.search.ray.warm_up"
MOST_WARMED = 4
"""Maximum number of CPUs for which workers import torch in advance: each takes 600 MiB, used or not."""


def prepare_environment() -> None:
    """Set the variables that Ray reads on import; values that the user has set take precedence."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def warm_workers(cpus: int) -> None:
    """Let the next Ray session's idle workers preload the modules that trials import.

    Ray starts one process per CPU and can preload modules in each. It also ends processes that are idle for a
    second if there are more of them than free CPUs. A placement group reserves its CPUs before its actor has
    a process, so without a soft limit Ray would end the processes that the first trials need.

    Args:
        cpus: Number of CPUs; above `MOST_WARMED`, each worker imports the modules in its first trial.
    """
    if cpus <= MOST_WARMED:
        os.environ.setdefault("RAY_preload_python_modules", WARMED)
        os.environ.setdefault("RAY_num_workers_soft_limit", str(cpus))


def keep_byte_code(cache: Path) -> None:
    """Cache byte code in our own folder if Python may not write it and the packages have none.

    Containers often set PYTHONDONTWRITEBYTECODE and install packages without byte code. Then every process,
    Ray's workers included, compiles torch and fastai again, which takes 10 s or more. This does nothing if
    the packages were compiled on installation, and it never writes beside them.

    Args:
        cache: Folder for byte code, created if missing; not used if other users can write to it, since they
            could place code there.
    """
    if not sys.dont_write_bytecode or sys.pycache_prefix or _is_compiled("ray"):
        return
    try:
        if not is_mine_alone(make_private_folder(cache)):
            return
    except OSError:  # the cache cannot be created
        return
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(cache)
    del os.environ["PYTHONDONTWRITEBYTECODE"]  # for child processes
    os.environ["PYTHONPYCACHEPREFIX"] = str(cache)


def _is_compiled(package: str) -> bool:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return False
    return Path(importlib.util.cache_from_source(spec.origin)).exists()
