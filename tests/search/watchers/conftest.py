"""A running search whose clock the tests set."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.search.trials import make_trial
from tune_paddy.core.config import MemberConfig
from tune_paddy.search.watchers.progress import SearchProgress


@dataclass
class Clock:
    """Clock that shows what a test sets."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Running:
    """A search of three members with two epochs each, trained one after the other.

    Attributes:
        clock: Clock of the search.
        progress: State of the search.
        displays: Further receivers of the events.
    """

    clock: Clock
    progress: SearchProgress
    displays: list[Any] = field(default_factory=list)

    def tell(
        self,
        member: str,
        state: str = "running",
        at: float | None = None,
        *,
        frozen: bool = False,
        **result: Any,
    ) -> None:
        """Report an event of a member, at a time in seconds."""
        self.clock.now = self.clock.now if at is None else at
        trial = make_trial(member)
        config = trial.config.model_copy(update={"epochs": 2, "freeze_epochs": 0, "schedule": "one_cycle"})
        config = MemberConfig(arch=config.arch, schedule="frozen") if frozen else config
        trial = type(trial)(trial.number, member, trial.origin, config, trial.memory)
        for receiver in (self.progress, *self.displays):
            receiver.trial_changed(trial, state, result)

    def epoch(self, member: str, epoch: int, at: float | None = None, log_loss: float = 0.5) -> None:
        """Report a finished epoch of a member."""
        self.tell(member, "running", at, epoch=epoch, log_loss=log_loss, error_rate=0.25)


@pytest.fixture
def running() -> Running:
    """A search that starts at time 0."""
    clock = Clock()
    return Running(clock, SearchProgress(3, cpus=2, clock=clock))
