"""Live curve: the score of the greedy ensemble after each finished member, computed in the background."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.metrics import error_rate
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection
from tune_paddy.data.system.owned_folders import owned_folder
from tune_paddy.data.system.patience import Patience
from tune_paddy.search.trial import Trial
from tune_paddy.search.watchers.background import CLOSING_SECONDS
from tune_paddy.search.watchers.live_pool import LivePool
from tune_paddy.tracking.ensembles import log_live_score
from tune_paddy.tracking.pool import load_member
from tune_paddy.tracking.runs import list_members, read_curve
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import LIVE, LOG_LOSS

LONGEST_LOOK_BACK = 60.0
"""Longest time that a resumed search waits for the selection from its earlier members, in s."""


class LiveEnsemble:
    """Selects an ensemble after each finished member, in its own thread; reads each member once.

    Args:
        store: The record.
        search: Name of the search; members of earlier sessions are included.
        parent_run_id: MLflow run of the search, which gets the curve.
        folder: Existing folder of the search, for a temporary file of predictions.
        on_selection: Callback after each point, with the pool and the selection.
        elapsed: Function that returns the time of the search over all its sessions, in s.
    """

    def __init__(
        self,
        store: Store,
        search: str,
        parent_run_id: str,
        folder: Path,
        on_selection: Callable[[Pool, Selection], None] = lambda pool, selection: None,
        *,
        elapsed: Callable[[], float],
    ) -> None:
        self._on_selection, self._elapsed = on_selection, elapsed
        self._store, self._search, self._parent = store, search, parent_run_id
        self._folder = folder
        self._read_runs: set[str] = set()
        self._points: set[int] | None = None  # steps of the curve; None: it could not be read
        self._finished: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._looked_back = threading.Event()
        self._patience = Patience()
        self._thread = threading.Thread(target=self._work, name="live-ensemble", daemon=True)

    def __enter__(self) -> "LiveEnsemble":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Add the remaining points, then end the thread."""
        self._patience.end_in(CLOSING_SECONDS)
        self._finished.put(None)
        self._thread.join()

    def wait_for_earlier(self) -> None:
        """Wait until the members of earlier sessions are selected from, or cannot be, within a limit."""
        self._looked_back.wait(LONGEST_LOOK_BACK)

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Queue a finished member."""
        if state == "finished":
            self._finished.put(result["run_id"])

    def _work(self) -> None:
        try:
            # A full disk ends the curve alone.
            with suppress(OSError), owned_folder(self._folder) as folder, self._patience.applied():
                pool = LivePool(folder / "select.bin")
                self._look_back(pool)
                self._looked_back.set()
                while (run_id := self._finished.get()) is not None:
                    if self._read(run_id, pool):
                        self._add_point(pool)
        finally:  # nobody must wait for a thread that has died
            self._looked_back.set()

    def _look_back(self, pool: LivePool) -> None:
        """Read the members of earlier sessions and their curve, and select from them."""
        for earlier in self._earlier():
            self._read(earlier, pool)
        with suppress(TunePaddyError):
            self._points = set(read_curve(self._store, self._parent, LIVE + LOG_LOSS))
        self._begin(pool)

    def _begin(self, pool: LivePool) -> None:
        """Select from the members of earlier sessions.

        One may have died between the end of its last member and that one's point.
        """
        if self._points is not None and len(pool) not in (0, *self._points):
            self._add_point(pool)
        elif (selected := pool.selected()) is not None:
            with suppress(TunePaddyError):
                self._on_selection(*selected)

    def _earlier(self) -> list[str]:
        with suppress(TunePaddyError):  # a failed read must not end a search
            members = list_members(self._store, self._search)
            return [member.run_id for member in members if member.status == "FINISHED"]
        return []

    def _read(self, run_id: str, pool: LivePool) -> bool:
        """Read a member once; a trial that died after its end reports twice. Return whether it is new."""
        if run_id in self._read_runs:
            return False
        with suppress(TunePaddyError, OSError):  # a disk that is full must not end a search either
            added = pool.add(*load_member(self._store, run_id))
            self._read_runs.add(run_id)
            return added
        return False

    def _add_point(self, live: LivePool) -> None:
        with suppress(TunePaddyError, OSError):
            selected = live.selected()
            if selected is None:
                return
            pool, selection = selected
            error = error_rate(selection.blend(pool.select), pool.labels)
            new = self._points is not None and len(live) not in self._points
            log_live_score(
                self._store,
                self._parent,
                len(live),
                selection.score,
                error,
                seconds=self._elapsed(),
                new=new,
            )
            if self._points is not None:
                self._points.add(len(live))
            self._on_selection(pool, selection)
