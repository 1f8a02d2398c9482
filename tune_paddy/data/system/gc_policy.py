"""Policy of Python's garbage collector, and the return of freed memory to the operating system.

Importing torch, fastai, Ray and MLflow creates a million permanent objects. With the default thresholds the
collector scans them repeatedly during the imports, which takes a quarter of their time, and then in every
full collection, at 0.4 s of CPU each.
"""

import atexit
import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (100_000, 20, 20)
"""Thresholds of the three generations; the first counts new objects, and defaults to 700 to 2,000."""


def collect_rarely() -> None:
    """Make the collector run less often in this process."""
    gc.set_threshold(*THRESHOLDS)


@contextmanager
def imports_kept() -> Iterator[None]:
    """Disable collection while the block imports, then exclude its objects from later collections."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # otherwise libraries report leaks at exit
        gc.enable()


def give_memory_back() -> None:
    """Collect garbage and return freed memory to the operating system, before the process is reused.

    The C library keeps fragments that Python has freed: 48 MB per trial without trimming, 6 MB with it.
    """
    gc.collect()
    trim_heap()


def trim_heap() -> None:
    """Return freed memory to the operating system; the C library keeps that of each thread for later."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
