"""Detect the end of the raylet, Ray's process on this machine that starts all trials.

Ray detects it within about 15 s and then ends this process from C++, without a useful message and without
closing the runs that are open.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tune_paddy.search.interruption import Interruption
from tune_paddy.search.ray.internals import own_raylet

SECONDS = 1.0
"""Interval between two checks, in seconds."""


@contextmanager
def watched_raylet(interruption: Interruption) -> Iterator[None]:
    """Stop the search with a message as soon as the raylet has ended; use it inside `interruptible`.

    It does not watch raylets of a cluster, and does nothing outside the main thread, which alone handles
    signals.

    Args:
        interruption: Interruption that reports the failure.
    """
    raylet = own_raylet()
    if raylet is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(raylet, interruption, over), name="raylet", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _watch(raylet: psutil.Process, interruption: Interruption, over: threading.Event) -> None:
    while not over.wait(SECONDS):
        if not _lives(raylet):
            interruption.fail("Ray's process on this machine (raylet) was killed or crashed")
            return


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
