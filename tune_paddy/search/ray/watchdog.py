"""Detect the end of a process of Ray that a search needs.

Ray detects the end of the raylet within about 15 s and that of the GCS within a minute. It then ends this
process from C++, without a useful message and without closing the runs that are open.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil

from tune_paddy.search.interruption import Interruption
from tune_paddy.search.ray.internals import own_processes

SECONDS = 1.0
"""Interval between two checks, in seconds."""

NEEDED = {"raylet": "raylet, which starts the trials", "gcs_server": "GCS, which keeps Ray's state"}
"""Processes without which no trial ends: Ray's name of the kind → its name and purpose."""


@contextmanager
def watched_ray(interruption: Interruption) -> Iterator[None]:
    """Stop the search with a message as soon as a needed process has ended; use it inside `interruptible`.

    It does not watch the processes of a cluster, and does nothing outside the main thread, which alone
    handles signals.

    Args:
        interruption: Interruption that reports the failure.
    """
    watched = {kind: process for kind, process in own_processes().items() if kind in NEEDED}
    if not watched or threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(watched, interruption, over), name="ray", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _watch(watched: Mapping[str, psutil.Process], interruption: Interruption, over: threading.Event) -> None:
    while not over.wait(SECONDS):
        for kind, process in watched.items():
            if not _lives(process):
                interruption.fail(f"a process of Ray on this machine was killed or crashed ({NEEDED[kind]})")
                return


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
