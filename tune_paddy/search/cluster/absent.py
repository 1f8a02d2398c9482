"""Notice trials that wait for a model of GPU which no connected machine has any more."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.tune import Callback

from tune_paddy.core.memory import TrialMemory
from tune_paddy.data.system.text import counted
from tune_paddy.search.cluster.gpu_models import absent_models
from tune_paddy.search.cluster.places import SECONDS, connected_machines
from tune_paddy.search.stopping.interruption import Interruption
from tune_paddy.search.trial import Trial

PATIENCE = 600.0
"""Time without a running trial after which a search that waits for a machine ends, in seconds."""


class AbsentMachines(Callback):
    """Tells which trials wait for a machine that is gone, and ends a search that does nothing else.

    Ray places a trial on no other model of GPU than the one it was planned for. A resumed search plans it
    again for the machines that are there.

    Attributes:
        waiting: Number of trials that wait for such a machine.

    Args:
        interruption: Interruption of the search.
        say: Function that prints a line for the user.
        machines: Function that returns Ray's resources of each connected machine.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        interruption: Interruption,
        say: Callable[[str], object],
        machines: Callable[[], Sequence[Mapping[str, float]]] = connected_machines,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interruption, self._say, self._machines, self._clock = interruption, say, machines, clock
        self._looked, self._idle_since, self._told = -float("inf"), clock(), list[str]()
        self.waiting = 0

    def __getstate__(self) -> dict[str, object]:
        """Return nothing: Ray pickles a callback for its own restore, which a resume does not use."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:  # noqa: ARG002
        """Look at the machines, if some time has passed since the last look."""
        now = self._clock()
        if now - self._looked >= SECONDS:
            self._looked = now
            running = any(trial.status == "RUNNING" for trial in trials)
            self._look([trial for trial in trials if trial.status == "PENDING"], running=running, now=now)

    def _look(self, pending: Sequence[Any], *, running: bool, now: float) -> None:
        wanted = [memory for trial in pending if (memory := _memory(trial)).accelerator]
        absent = absent_models(wanted, self._machines()) if wanted else []
        self.waiting = sum(memory.accelerator in absent for memory in wanted)
        if running or not absent:
            self._idle_since = now
        if not absent:
            self._told = []
            return
        waiting = counted(self.waiting, "trial waits", "trials wait")
        missing = f"{waiting} for a machine with {' or '.join(absent)}"
        if absent != self._told:
            self._told = absent
            self._say(
                f"{missing}: none is connected; connect one, or interrupt the search and resume it, which "
                "plans them for the machines that are there"
            )
        if now - self._idle_since >= PATIENCE and not self._interruption.stopping:
            self._interruption.fail(f"{missing}, and none is connected")


def _memory(trial: Any) -> TrialMemory:
    return Trial.from_config(trial.config).memory
