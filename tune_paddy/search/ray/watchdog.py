"""Detect the end of a process of Ray that a search needs.

Ray detects the end of the raylet within about 15 s and that of the GCS within a minute. It then ends this
process from C++, without a useful message and without closing the runs that are open.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psutil

from tune_paddy.core.errors import SearchInterruptedError
from tune_paddy.search.interruption import Interruption
from tune_paddy.search.ray.internals import own_processes

SECONDS = 1.0
"""Interval between two checks, in seconds."""

GRACE = 4.0
"""Time in which the main thread must react to a failure, in seconds.

It cannot while it waits in Ray's library for an answer of the GCS: no exception reaches it there.
"""

NEEDED = {"raylet": "raylet, which starts the trials", "gcs_server": "GCS, which keeps Ray's state"}
"""Processes without which no trial ends: Ray's name of the kind → its name and purpose."""


@contextmanager
def watched_ray(
    interruption: Interruption, leave: Callable[[SearchInterruptedError], None]
) -> Iterator[None]:
    """Stop the search with a message as soon as a needed process has ended; use it inside `interruptible`.

    It does not watch the processes of a cluster, and does nothing outside the main thread, which alone
    handles signals.

    Args:
        interruption: Interruption that reports the failure.
        leave: Function that closes the record and ends the process; called in another thread if the main one
            does not react.
    """
    watched = {kind: process for kind, process in own_processes().items() if kind in NEEDED}
    if not watched or threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    arguments = (watched, interruption, leave, over)
    watch = threading.Thread(target=_watch, args=arguments, name="ray", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _watch(
    watched: Mapping[str, psutil.Process],
    interruption: Interruption,
    leave: Callable[[SearchInterruptedError], None],
    over: threading.Event,
) -> None:
    while not over.wait(SECONDS):
        for kind, process in watched.items():
            if not _lives(process):
                failure = f"a process of Ray on this machine was killed or crashed ({NEEDED[kind]})"
                interruption.fail(failure)
                if not over.wait(GRACE):
                    leave(interruption.error(f"{failure}; the search can be resumed"))
                return


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
