"""Free memory of this machine or container, and its division among threads."""

import math
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tune_paddy.data.system.cpus import ROOT, control_groups
from tune_paddy.data.system.gc_policy import trim_heap


def free_memory(root: Path = ROOT) -> int:
    """Return the memory that this process can still take, in bytes, within its container's limit.

    Args:
        root: Folder that holds `proc` and `sys`.
    """
    import psutil  # noqa: PLC0415 every command imports this module, and few measure

    left = (_left(group) for group in control_groups(root, ""))
    return min([psutil.virtual_memory().available, *(n for n in left if n is not None)])


def _left(group: Path) -> int | None:
    """Return what a control group may still take, without its files' pages; None: no limit, or unknown."""
    with suppress(OSError, ValueError):
        limit = int((group / "memory.max").read_text(encoding="utf-8"))
        used = int((group / "memory.current").read_text(encoding="utf-8"))
        pages = (group / "memory.stat").read_text(encoding="utf-8").split()
        return max(0, limit - used + int(pages[pages.index("inactive_file") + 1]))
    return None


_SOON = 1.0
"""Time after which the free memory is measured again, in s; see `benchmarks/LOG.md`."""

_TRIMMED = 2**28
"""Size from which a part's memory returns to the system at once: the C library would keep it per thread."""


_MESSAGES = re.compile(
    r"out of memory|(cannot|can't|not enough) (allocate )?memory|failed to map segment|std::bad_alloc",
    re.IGNORECASE,
)
"""Messages of libraries that raise other errors than MemoryError."""


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error means that this process got no more memory of the machine."""
    return isinstance(error, MemoryError) or _MESSAGES.search(str(error)) is not None


class MemoryRation:
    """Memory that threads share: each waits until its part is free.

    A part larger than the whole waits until no other is taken.

    Args:
        measure: Function that returns the whole in bytes; called once a second at most,
            while nothing is taken.
        clock: Source of time in seconds.
    """

    def __init__(self, measure: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._measure, self._clock, self._measured = measure, clock, -math.inf
        self._whole, self._taken = 0, 0
        self._freed = threading.Condition()

    def part(self) -> "MemoryPart":
        """Return a part without memory, a context that gives back what it takes."""
        return MemoryPart(self)

    def take(self, n_bytes: int) -> None:
        """Wait until a part is free, and take it."""
        with self._freed:
            self._freed.wait_for(lambda: self._fits(n_bytes))
            self._taken += n_bytes

    def give_back(self, n_bytes: int) -> None:
        """Give a part back."""
        with self._freed:
            self._taken -= n_bytes
            self._freed.notify_all()

    def _fits(self, n_bytes: int) -> bool:
        if not self._taken:
            self._measure_if_old()
            return True
        return self._taken + n_bytes <= self._whole

    def _measure_if_old(self) -> None:
        now = self._clock()
        if now - self._measured >= _SOON:
            self._whole, self._measured = self._measure(), now


class MemoryPart:
    """Part of a ration, given back at the end of its `with` block; its size is known only within the block.

    Args:
        ration: Ration that the part is taken from.
    """

    def __init__(self, ration: MemoryRation) -> None:
        self._ration, self._taken = ration, 0

    def take(self, n_bytes: int) -> None:
        """Take memory, once; wait until it is free."""
        self._ration.take(n_bytes)
        self._taken += n_bytes

    def __enter__(self) -> "MemoryPart":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken >= _TRIMMED:
            trim_heap()
        self._ration.give_back(self._taken)
        self._taken = 0
