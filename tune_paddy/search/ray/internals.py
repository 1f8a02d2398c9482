"""Private names of Ray that this package uses; none is required.

Each is replaced temporarily, except those that are only read: `worker._global_node` and
`accelerators.get_accelerator_manager_for_resource`. Three further names are used in other
modules: the logger `ray._private.worker` and the option `_temp_dir` of `ray.init` in `session`, and
`ray.widgets.util.in_notebook` in `notebook`. The last two are required.

| name | purpose | without it |
|---|---|---|
| `TuneController._maybe_cache_trial_actor` | replace a process that ran out of GPU memory | it is reused |
| `tune_controller._ObjectCache` | keep all idle processes, not one | later trials start processes |
| `class_cache.DEFAULT_ENV_VARS` | let trials use the processes that Ray started | trials start processes |
| `class_cache.ENV_VARS_TO_PROPAGATE` | keep keys of a storage out of Ray's logs | they are there |
| `worker.listen_error_messages` | no paragraph on stdout for each worker that died | the paragraphs appear |
| `utils.set_sigterm_handler` | keep the driver's handler while Ray starts | it is set again afterwards |
| `services.get_node` | wait for the start on a busy machine | Ray gives up after 30 s |
| `services.ConsolePopen` | shield Ray's processes from signals to the driver's group | the group ends them |
| `node.Node.start_api_server` | no process of a dashboard that is not wanted, 100 MB | it starts |
| `node.Node.start_log_monitor` | no process that reads logs nobody prints, 90 MB | it starts |
| `node.Node.start_monitor` | no process of an autoscaler that has no cluster, 90 MB | it starts |
| `worker._global_node` | find the processes of Ray that this process started | Ray's own, slower check |
| `_raylet.Config` | ask for a token, as later versions do by default | as the version does |
| `accelerators.get_accelerator_manager_for_resource` | count GPUs before Ray starts | count them after |

Ray Tune reuses the process of a trial that ended without an error (`reuse_actors`), which saves seconds per
trial. If several processes become idle before the next trial is proposed, Tune keeps only one;
`kept_processes` keeps them all. A process that ran out of GPU memory must not train another member, since
libraries may hold workspaces and contexts that nothing frees. Tune has no setting for that: a trainable that
refuses a reset, or a process that has ended, would fail the next trial.
"""

import importlib
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psutil

from tune_paddy.data.system.signals import JOB_SIGNALS

SPENT = "spent"
"""Key of a trial's result: true if its process must not train another member."""

START_SECONDS = 300.0
"""Maximum time for Ray's start, in seconds, while its raylet runs."""

_CONTROLLER = "ray.tune.execution.tune_controller"
_ENVIRONMENT = "ray.tune.execution.class_cache"
_WORKER = "ray._private.worker"
_UTILS = "ray._private.utils"
_ACCELERATORS = "ray._private.accelerators"
_SERVICES = "ray._private.services"
_NODE = "ray._private.node"


def find(module: str, *names: str) -> Any:
    """Return an attribute of a module, or of a class in it; None if this version of Ray has none.

    >>> find("ray.tune", "no_such_name") is None
    True
    """
    found: Any = None
    with suppress(ImportError):
        found = importlib.import_module(module)
    for name in names:
        found = getattr(found, name, None)
    return found


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute's value while the block runs; do nothing if the owner has no such attribute."""
    before = getattr(owner, name, None)
    if before is None or value is None:
        yield
        return
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def kept_processes() -> Iterator[None]:
    """Let Tune keep all idle processes while the block runs, except those whose last result is `SPENT`."""
    controller = find(_CONTROLLER, "TuneController")
    keep = find(_CONTROLLER, "TuneController", "_maybe_cache_trial_actor")
    cache = find(_CONTROLLER, "_ObjectCache")

    def keep_unless_spent(self: Any, trial: Any) -> bool:
        return not (trial.last_result or {}).get(SPENT) and bool(keep(self, trial))

    with (
        _replaced(controller, "_maybe_cache_trial_actor", keep_unless_spent),
        _replaced(find(_CONTROLLER), "_ObjectCache", _patient(cache)),
    ):
        yield


def _patient(cache: Any) -> Any:
    """Derive a cache that ends no idle process while no trial waits for resources.

    When a trial waits, Tune's own rule applies again: processes that it cannot use release their resources.

    Args:
        cache: Tune's class, or None.

    Returns:
        A subclass; None if there is no class, or if it lacks a method that the subclass needs.
    """
    needed = {"cache_object", "flush_cached_objects", "total_max_objects"}
    if cache is None or not needed <= set(dir(cache)):
        return None

    class IdleProcesses(cache):
        def cache_object(self, key: Any, obj: Any) -> bool:
            if self.total_max_objects:
                return bool(super().cache_object(key, obj))
            if not hasattr(self, "_cached_objects") or not hasattr(self, "_num_cached_objects"):
                return bool(super().cache_object(key, obj))  # a later version keeps them elsewhere
            self._cached_objects[key].append(obj)
            self._num_cached_objects += 1
            return True

        def flush_cached_objects(self, force_all: bool = False) -> Generator[Any, None, None]:
            if force_all or self.total_max_objects:
                yield from super().flush_cached_objects(force_all=force_all)

    return IdleProcesses


@contextmanager
def prestarted_workers_used() -> Iterator[None]:
    """Let trials use the processes that Ray has already started, while the block runs.

    Tune sets an environment variable for PyTorch Lightning in each trial's process. If the environment
    differs from Ray's own, Ray prepares it in an agent and starts a new process, which takes seconds.
    """
    variables = find(_ENVIRONMENT, "DEFAULT_ENV_VARS")
    if not isinstance(variables, dict):
        yield
        return
    before = dict(variables)
    variables.clear()
    try:
        yield
    finally:
        variables.update(before)


@contextmanager
def credentials_left_alone() -> Iterator[None]:
    """Keep Tune, while the block runs, from sending this process's keys of a storage to the trials.

    They would be part of the trials' runtime environment, which Ray logs on each machine and keeps in its
    metadata. Each machine has keys of its own, or those of this process if that has started Ray.
    """
    sent = find(_ENVIRONMENT, "ENV_VARS_TO_PROPAGATE")
    kept = {name for name in sent or () if not name.startswith("AWS_")}
    with _replaced(find(_ENVIRONMENT), "ENV_VARS_TO_PROPAGATE", kept):
        yield


@contextmanager
def quiet_workers() -> Iterator[None]:
    """Keep Ray, if it starts in the block, from printing a paragraph for every worker that dies."""
    with _replaced(find(_WORKER), "listen_error_messages", lambda *_: None):
        yield


@contextmanager
def sigterm_left_alone() -> Iterator[None]:
    """Keep Ray, if it starts in the block, from replacing this process's SIGTERM handler."""
    with _replaced(find(_UTILS), "set_sigterm_handler", lambda _: None):
        yield


@contextmanager
def tokens_required() -> Iterator[None]:
    """Let a Ray session that starts in the block accept only clients that have its token.

    Ray reads RAY_AUTH_MODE on import. Versions from about 2.60 on set the mode themselves, later.
    """
    config = find("ray._raylet", "Config")
    if "RAY_AUTH_MODE" in os.environ or not hasattr(config, "initialize"):
        yield
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    config.initialize("")
    try:
        yield
    finally:
        os.environ.pop("RAY_AUTH_MODE", None)
        config.initialize("")


@contextmanager
def shielded_processes() -> Iterator[None]:
    """Shield Ray's processes, if they start in the block, from signals that are meant for the driver.

    `kill -TERM -- -PID`, `timeout` and a closed terminal signal the driver's whole process group; Slurm,
    systemd and Kubernetes signal every process of the job. Ray would end at once, and the search with it,
    although the driver handles the signal. Each process of Ray therefore leads a session of its own, and it
    and its children block these signals. Ray ends them with SIGKILL instead.
    """
    with _replaced(find(_SERVICES), "ConsolePopen", _shielded(find(_SERVICES, "ConsolePopen"))):
        yield


@contextmanager
def patient_start() -> Iterator[None]:
    """Let Ray wait for its raylet, if that starts in the block, for as long as it may take on a busy machine.

    The raylet registers after its agents have imported Ray. Ray gives up after 30 s, with no setting for it.
    The raylet itself ends if an agent has not told its port after about 15 s, and then nothing is waited for.
    """
    get_node = find(_SERVICES, "get_node")

    def get_node_in_time(*args: Any, **options: Any) -> Any:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return get_node(*args, **options)
            except RuntimeError:  # it is not registered
                if time.monotonic() > deadline or not _raylet_runs():
                    raise
            time.sleep(0.1)

    with _replaced(find(_SERVICES), "get_node", get_node_in_time):
        yield


def _raylet_runs() -> bool:
    """Return whether a raylet that this process started runs."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.name() == "raylet" and child.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


@contextmanager
def only_needed_processes() -> Iterator[None]:
    """Keep Ray, if it starts in the block, from starting the processes that no search uses.

    `include_dashboard=False` leaves out the dashboard's pages, not its process. The log monitor sends the
    workers' output to a driver that prints it; this package's drivers do not. The autoscaler's monitor starts
    nodes of a cluster; this machine is the only one. Each takes about 100 MB, 2 s of CPU to import Ray, and
    1 % of a CPU afterwards. The agents of the raylet cannot be left out: Ray's workers are started with their
    help.
    """
    node = find(_NODE, "Node")
    with ExitStack() as stack:
        for name in ("start_api_server", "start_log_monitor", "start_monitor"):
            stack.enter_context(_replaced(node, name, lambda *_, **__: None))
        yield


def _shielded(popen: Any) -> Any:
    """Derive a class that starts shielded processes; None if there is no class, or no session to start."""
    if popen is None or not hasattr(os, "setsid"):
        return None

    class ShieldedPopen(popen):
        def __init__(self, *args: Any, preexec_fn: Callable[[], None] | None = None, **options: Any) -> None:
            def prepare() -> None:
                if preexec_fn is not None:
                    preexec_fn()
                signal.pthread_sigmask(signal.SIG_BLOCK, JOB_SIGNALS)

            super().__init__(*args, preexec_fn=prepare, **{**options, "start_new_session": True})

        def terminate(self) -> None:
            self.kill()  # SIGTERM is blocked

    return ShieldedPopen


def own_processes() -> dict[str, psutil.Process]:
    """Return the processes of Ray that this process started, by Ray's name of their kind, such as `raylet`.

    Empty if it started none, or if that is unknown. Workers and agents are children of the raylet.
    """
    node = find(_WORKER, "_global_node")
    found: dict[str, psutil.Process] = {}
    for kind, started in getattr(node, "all_processes", {}).items():
        with suppress(psutil.NoSuchProcess, IndexError):
            found[kind] = psutil.Process(started[0].process.pid)
    return found


def count_gpus() -> int | None:
    """Return the number of GPUs that Ray will find on this machine; None if only a running Ray can tell."""
    find_manager = find(_ACCELERATORS, "get_accelerator_manager_for_resource")
    if find_manager is None:
        return None
    manager = find_manager("GPU")
    visible = manager.get_current_process_visible_accelerator_ids()
    gpus = int(manager.get_current_node_num_accelerators())
    return gpus if visible is None else min(gpus, len(visible))
