"""How many trials run at once on a cluster whose machines come and go."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import ray
from ray.tune.search import ConcurrencyLimiter, Searcher

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.errors import InputError
from tune_paddy.search.resources import check_machines

SECONDS = 2.0
"""Interval between two looks at the machines, in seconds."""


def live_places(settings: SearchSettings) -> int:
    """Return how many trials the machines that are connected now can run at once.

    Raises:
        InputError: No machine can run one.
    """
    return check_machines(settings, connected_machines() or [{}])


def connected_machines() -> list[Mapping[str, float]]:
    """Return Ray's resources of each machine that is connected now."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


class ClusterLimiter(ConcurrencyLimiter):
    """Limits the trials of a searcher to those that fit on the machines that are connected now.

    Args:
        searcher: Source of the trials.
        places: Number of trials that fit at the start.
        count: Function that returns the number that fits now; raises an InputError if none does.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        searcher: Searcher,
        places: int,
        count: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(searcher, max_concurrent=places)
        self._count, self._clock, self._since = count, clock, clock()

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial; None: no machine has a place."""
        if self._clock() - self._since >= SECONDS:
            self._since = self._clock()
            with suppress(InputError):  # a machine may return: the trials that wait need no new ones
                self.max_concurrent = self._count()
        return super().suggest(trial_id)
