"""The live curve: the greedy ensemble's score after each finished member, off the trials' path."""

import threading
from contextlib import suppress
from typing import Any

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.metrics import error_rate
from tune_paddy.core.selection import greedy_select
from tune_paddy.tracking.ensembles import log_live_score
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.store import Store


class LiveEnsemble:
    """Selects anew, in a thread of its own, whenever members have finished since the last time.

    Args:
        store: The record.
        search: Name of the search.
        parent_run_id: Run of the search, which gets the curve.
    """

    def __init__(self, store: Store, search: str, parent_run_id: str) -> None:
        self._store, self._search, self._parent = store, search, parent_run_id
        self._news = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="live-ensemble", daemon=True)

    def __enter__(self) -> "LiveEnsemble":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Add the last point, then end."""
        self._closing = True
        self._news.set()
        self._thread.join()

    def trial_changed(self, member: str, state: str, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Take note of a finished member."""
        if state == "finished":
            self._news.set()

    def _work(self) -> None:
        seen = 0
        while not self._closing or self._news.is_set():
            self._news.wait()
            self._news.clear()
            with suppress(TunePaddyError):  # a curve is no reason to end a search; the next point may do
                seen = self._add_point(seen)

    def _add_point(self, seen: int) -> int:
        pool = load_pool(self._store, [self._search])
        members = len({view.member for view in pool.views})
        if members > seen:
            selection = greedy_select(pool.select, pool.labels)
            error = error_rate(selection.blend(pool.select), pool.labels)
            log_live_score(self._store, self._parent, members, selection.score, error)
        return members
