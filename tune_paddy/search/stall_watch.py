"""Detect a trial that hangs, and end its process so that Ray can retry it."""

import faulthandler
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

STALLED = "stalled.txt"
"""File in a member's folder with the tracebacks of a process that hung; empty while the process runs."""

_SETTING = 1.0
"""Minimum time between two resets of the timer, in seconds."""

_FRAME = re.compile(r'File "[^"]*?([^/"]+)", line (\d+) in (\S+)')


class StallWatch:
    """Ends this process if nothing calls `alive` for a given time.

    Python's faulthandler ends it from a C thread, which does not need the interpreter lock: code that hangs
    while it holds the lock is ended, too.

    Args:
        minutes: Maximum time between two calls of `alive`, in minutes; None: no limit.
        folder: Folder of the member, for the tracebacks of all threads.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, minutes: float | None, folder: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._minutes, self._path, self._clock = minutes, folder / STALLED, clock
        self._set = float("-inf")

    def __enter__(self) -> "StallWatch":
        if self._minutes is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
            self.alive()
        return self

    def alive(self) -> None:
        """Reset the timer."""
        if self._minutes is not None and self._clock() - self._set >= _SETTING:
            faulthandler.dump_traceback_later(60 * self._minutes, file=self._file, exit=True)
            self._set = self._clock()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._minutes is not None:
            faulthandler.cancel_dump_traceback_later()
            self._file.close()
            self._path.unlink(missing_ok=True)


def stall_reason(folder: Path) -> str | None:
    """Return where a member's process hung, in one line; None if it did not hang."""
    try:
        text = (folder / STALLED).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    frames = _FRAME.findall(text)
    if not frames:
        return None
    file, line, function = next((frame for frame in frames if frame[0] != "threading.py"), frames[0])
    return f"made no progress for longer than `stall_minutes`; it hung in {function}, {file} line {line}"
