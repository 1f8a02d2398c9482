"""Processes that train one trial after another, and those that have to be replaced in between.

Ray Tune reuses the process of a trial that ends without an error (`reuse_actors`), which saves seconds at
each start. Of several that end before the next trial has been proposed it would keep only one; here it
keeps them all. After running out of a GPU's memory a process is not to be trusted with another
trial: libraries may hold workspaces and contexts that nothing gives back. Tune has no way to say so: a
trainable that refuses to be reset, or a process that has gone, fails the trial that comes next.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.execution import tune_controller
from ray.tune.execution.class_cache import DEFAULT_ENV_VARS
from ray.tune.execution.tune_controller import TuneController
from ray.tune.utils.object_cache import _ObjectCache

SPENT = "spent"
"""Key of a trial's result: true where its process shall train nothing more."""


class IdleProcesses(_ObjectCache):
    """Tune's idle processes, none of which is ended while no trial waits for resources.

    As soon as one waits, Tune's own rule holds again: processes that it cannot use give theirs back.
    """

    def cache_object(self, key: Any, obj: Any) -> bool:
        """Keep a process, by what it was given; say whether it is kept."""
        if self.total_max_objects:
            return bool(super().cache_object(key, obj))
        self._cached_objects[key].append(obj)
        self._num_cached_objects += 1
        return True

    def flush_cached_objects(self, force_all: bool = False) -> Generator[Any, None, None]:
        """Give up the processes that are to be ended; all of them at the end of the search."""
        if force_all or self.total_max_objects:
            yield from super().flush_cached_objects(force_all=force_all)


@contextmanager
def kept_processes() -> Iterator[None]:
    """While the block runs, Tune keeps all idle processes but those whose last result is `SPENT`."""
    controller: Any = TuneController
    module: Any = tune_controller
    keep, cache = controller._maybe_cache_trial_actor, module._ObjectCache

    def keep_unless_spent(self: TuneController, trial: Any) -> bool:
        return not (trial.last_result or {}).get(SPENT) and bool(keep(self, trial))

    controller._maybe_cache_trial_actor = keep_unless_spent
    module._ObjectCache = IdleProcesses
    try:
        yield
    finally:
        controller._maybe_cache_trial_actor, module._ObjectCache = keep, cache


def use_prestarted_workers() -> None:
    """Let trials take the processes that Ray has started already.

    Tune gives each trial's process an environment variable that is meant for PyTorch Lightning. Ray starts
    a new process for any environment of its own, after an agent has prepared it: seconds for each.
    """
    DEFAULT_ENV_VARS.clear()
