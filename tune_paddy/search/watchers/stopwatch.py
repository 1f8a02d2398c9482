"""Record the time that a search has used."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.search.trial import Trial
from tune_paddy.search.watchers.background import CLOSING_SECONDS
from tune_paddy.tracking.searches import log_seconds
from tune_paddy.tracking.store import Store

HEARTBEAT = 15.0
"""Minimum interval between two records of the time used, in seconds."""


class Stopwatch:
    """Records how long the search has run, over all its sessions.

    Args:
        store: The record.
        parent_run_id: MLflow run of the search.
        before: Duration of all earlier sessions, in seconds.
        clock: Monotonic clock, in seconds.
        began: Start of this session, by the clock; None: now.
    """

    def __init__(
        self,
        store: Store,
        parent_run_id: str,
        before: float,
        clock: Callable[[], float] = time.monotonic,
        began: float | None = None,
    ) -> None:
        self._store, self._parent, self._before, self._clock = store, parent_run_id, before, clock
        self._noted = clock()
        self._started = self._noted if began is None else began

    def __enter__(self) -> "Stopwatch":
        return self

    def __exit__(self, *error: object) -> None:
        self._note(most=CLOSING_SECONDS)

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Record the time if `HEARTBEAT` seconds have passed."""
        if self._clock() - self._noted >= HEARTBEAT:
            self._note(most=0.0)  # the next heartbeat tries again

    def _note(self, most: float) -> None:
        self._noted = self._clock()
        with suppress(TunePaddyError):
            seconds = self._before + self._noted - self._started
            log_seconds(self._store, self._parent, seconds, most=most)
