from collections.abc import Iterator
from typing import Any

import pytest
from ray.tune.search import Searcher

from tune_paddy.core.errors import InputError
from tune_paddy.search.cluster.places import SECONDS, ClusterLimiter


class Endless(Searcher):
    """Proposes trials for ever."""

    def suggest(self, trial_id: str) -> Any:
        return {"trial": trial_id}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Do nothing."""


@pytest.fixture
def counts() -> Iterator[int | None]:
    """Places on the machines at each look; None: no machine is connected."""
    return iter([3, None, 1])


def test_trials_follow_the_machines_that_come_and_go(counts: Iterator[int | None]) -> None:
    now = [0.0]

    def count() -> int:
        found = next(counts)
        if found is None:
            raise InputError("no machine")
        return found

    def started() -> list[str]:
        """Ask for trials until none fits; return those that started."""
        names = [f"{now[0]:g}-{number}" for number in range(5)]
        return [name for name in names if limiter.suggest(name) is not None]

    limiter = ClusterLimiter(Endless(metric="loss", mode="min"), 1, count, clock=lambda: now[0])
    assert started() == ["0-0"]
    now[0] += SECONDS
    assert started() == ["2-0", "2-1"]
    now[0] += SECONDS
    limiter.on_trial_complete("0-0")
    assert started() == ["4-0"]
    now[0] += SECONDS
    limiter.on_trial_complete("2-0")
    limiter.on_trial_complete("2-1")
    assert started() == []
    limiter.on_trial_complete("4-0")
    assert started() == ["6-0"]
