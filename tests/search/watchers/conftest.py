"""A running search whose clock the tests set."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.search.trials import make_trial
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.timing.gains import Point
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


STILL = {count: (10.0 * count, 0.5) for count in range(1, 9)}
"""Live curve of eight members whose ensemble does not get better."""


def resumed(points: dict[int, Point] = STILL, *, total: int = 17, **options: Any) -> Running:
    """Return a search whose earlier session had eight members in 80 s, and whose ninth has just ended.

    Eight further ones of 10 s each are left, so that it ends after 170 s; nothing is selected from the ninth.
    """
    clock = Clock()
    progress = SearchProgress(total, done=8, spent=80.0, clock=clock, points=points, **options)
    running = Running(clock, progress)
    running.tell("0008-net", at=0)
    running.epoch("0008-net", 2, at=9)
    running.tell("0008-net", "finished", at=10)
    return running
