"""Processes that train one trial after another, and those that have to be replaced in between.

Ray Tune reuses the process of every trial that ends without an error (`reuse_actors`), which saves
seconds at each start. After running out of a GPU's memory a process is not to be trusted with another
trial: libraries may hold workspaces and contexts that nothing gives back. Tune has no way to say so: a
trainable that refuses to be reset, or a process that has gone, fails the trial that comes next.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.execution.class_cache import DEFAULT_ENV_VARS
from ray.tune.execution.tune_controller import TuneController

SPENT = "spent"
"""Key of a trial's result: true where its process shall train nothing more."""


@contextmanager
def fresh_after_spent() -> Iterator[None]:
    """While the block runs, Tune ends the processes of trials whose last result is `SPENT`."""
    controller: Any = TuneController
    keep = controller._maybe_cache_trial_actor

    def keep_unless_spent(self: TuneController, trial: Any) -> bool:
        return not (trial.last_result or {}).get(SPENT) and bool(keep(self, trial))

    controller._maybe_cache_trial_actor = keep_unless_spent
    try:
        yield
    finally:
        controller._maybe_cache_trial_actor = keep


def use_prestarted_workers() -> None:
    """Let trials take the processes that Ray has started already.

    Tune gives each trial's process an environment variable that is meant for PyTorch Lightning. Ray starts
    a new process for any environment of its own, after an agent has prepared it: seconds for each.
    """
    DEFAULT_ENV_VARS.clear()
