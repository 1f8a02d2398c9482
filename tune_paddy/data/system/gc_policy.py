"""When Python's garbage collector runs, and what memory goes back to the machine.

Importing torch, fastai, Ray and MLflow makes a million objects that stay. With Python's own thresholds the
collector walks them again and again while they are made, a quarter of the time that the imports take, and
then at every full collection, 0.4 s of CPU each.
"""

import atexit
import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (100_000, 20, 20)
"""Of the three generations; the first counts new objects, Python's default is 700 to 2,000."""


def collect_rarely() -> None:
    """Let the collector run less often in this process."""
    gc.set_threshold(*THRESHOLDS)


@contextmanager
def imports_kept() -> Iterator[None]:
    """Collect nothing while the block imports, and never look at what it has made afterwards."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # otherwise libraries report leaks at exit
        gc.enable()


def give_memory_back() -> None:
    """Collect, and return freed memory to the operating system, for the next user of this process.

    The C library keeps what Python has freed, in pieces: 48 MB per trial without the trimming, 6 MB with it.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
