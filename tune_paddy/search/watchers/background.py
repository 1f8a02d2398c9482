"""Receivers of events that write to the record, in a thread: Ray's loop must not wait for a server.

While Ray's loop waits, it starts no trial and takes no report, and trials that report wait, too.
"""

import queue
import threading
from typing import Any

from tune_paddy.data.system.patience import Patience
from tune_paddy.search.trial import Trial
from tune_paddy.search.watchers.events import Watcher

CLOSING_SECONDS = 60.0
"""Time that is left after the last trial to wait for a server that is gone, in seconds."""


class Background:
    """Passes events on to receivers, in order, from its own thread.

    Args:
        watchers: Receivers of the events; only this thread calls them while the block runs.
    """

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers, self._patience = watchers, Patience()
        self._events: queue.SimpleQueue[tuple[Trial, str, dict[str, Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)

    def __enter__(self) -> "Background":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Pass on the remaining events, then end the thread."""
        self._patience.end_in(CLOSING_SECONDS)
        self._events.put(None)
        self._thread.join()

    def trial_changed(self, trial: Trial, state: str, result: dict[str, Any]) -> None:
        """Queue an event."""
        self._events.put((trial, state, result))

    def _work(self) -> None:
        with self._patience.applied():
            while (event := self._events.get()) is not None:
                for watcher in self._watchers:
                    watcher.trial_changed(*event)
