"""Ray's own process on this machine, which starts all trials: without it a search cannot go on.

Ray notices its end within 15 s or so, and then ends this process from C++: without a word that helps, and
without closing what is open.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tune_paddy.search.interruption import Interruption
from tune_paddy.search.ray.internals import own_raylet

SECONDS = 1.0
"""Between two looks."""


@contextmanager
def watched_raylet(interruption: Interruption) -> Iterator[None]:
    """Within `interruptible`, end the search with a line of our own as soon as Ray's process has gone.

    Raylets of a cluster, and blocks outside the main thread, which no signal reaches, are not watched.

    Args:
        interruption: Told of it.
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
