"""Live curve: the score of the greedy ensemble after each finished member, computed in the background."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.metrics import error_rate
from tune_paddy.core.predictions import Pool, Predictions, View, align
from tune_paddy.core.selection.plain import greedy_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.ensembles import log_live_score
from tune_paddy.tracking.pool import load_member
from tune_paddy.tracking.runs import list_members, read_curve
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import LIVE, LOG_LOSS


class LiveEnsemble:
    """Selects an ensemble after each finished member, in its own thread; reads each member once.

    Args:
        store: The record.
        search: Name of the search; members of earlier sessions are included.
        parent_run_id: MLflow run of the search, which gets the curve.
        on_selection: Callback after each point, with the pool and the selection.
    """

    def __init__(
        self,
        store: Store,
        search: str,
        parent_run_id: str,
        on_selection: Callable[[Pool, Selection], None] = lambda pool, selection: None,
    ) -> None:
        self._on_selection = on_selection
        self._store, self._search, self._parent = store, search, parent_run_id
        self._members: dict[str, tuple[View, Predictions]] = {}  # by run
        self._finished: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="live-ensemble", daemon=True)

    def __enter__(self) -> "LiveEnsemble":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Add the remaining points, then end the thread."""
        self._finished.put(None)
        self._thread.join()

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:  # noqa: ARG002
        """Queue a finished member."""
        if state == "finished":
            self._finished.put(result["run_id"])

    def _work(self) -> None:
        for earlier in self._earlier():
            self._read(earlier)
        if self._members and self._lacks_point():
            self._add_point()
        while (run_id := self._finished.get()) is not None:
            if self._read(run_id):
                self._add_point()

    def _earlier(self) -> list[str]:
        with suppress(TunePaddyError):  # a failed read must not end a search
            members = list_members(self._store, self._search)
            return [member.run_id for member in members if member.status == "FINISHED"]
        return []

    def _lacks_point(self) -> bool:
        """Return whether an earlier session died between the end of its last member and that one's point."""
        with suppress(TunePaddyError):
            return len(self._members) not in read_curve(self._store, self._parent, LIVE + LOG_LOSS)
        return False

    def _read(self, run_id: str) -> bool:
        """Read a member once; a trial that died after its end reports twice. Return whether it is new."""
        if run_id in self._members:
            return False
        with suppress(TunePaddyError):
            view, predictions = load_member(self._store, run_id)
            self._members[run_id] = view, without_test(predictions)
        return run_id in self._members

    def _add_point(self) -> None:
        pool = align(list(self._members.values()))
        with suppress(TunePaddyError):
            selection = greedy_select(pool.select, pool.labels)
            error = error_rate(selection.blend(pool.select), pool.labels)
            members = len({view.member for view in pool.views})
            log_live_score(self._store, self._parent, members, selection.score, error)
            self._on_selection(pool, selection)


def without_test(predictions: Predictions) -> Predictions:
    """Drop predictions of the test set, which take most of the memory and have no score."""
    none = {view: probs[:0] for view, probs in predictions.test.items()}
    return replace(predictions, test_ids=predictions.test_ids[:0], test=none, by_fold=None)
