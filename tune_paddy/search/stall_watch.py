"""End a trial that hangs: no sign of life for so long, and its process is gone, so that it can be retried."""

import faulthandler
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

STALLED = "stalled.txt"
"""File in a member's folder that says where its process hung; empty while it lives."""

_SETTING = 1.0
"""Least seconds between two settings of the timer."""

_FRAME = re.compile(r'File "[^"]*?([^/"]+)", line (\d+) in (\S+)')


class StallWatch:
    """Ends this process when nobody calls `alive` for long enough.

    Python's faulthandler does it, in a thread of C that needs no interpreter lock: code that hangs while it
    holds the lock cannot keep it from its work.

    Args:
        minutes: Without a sign of life; None: for ever.
        folder: Of the member; gets the tracebacks of all threads.
        clock: Seconds that never run backwards.
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
        """Give it the full time again."""
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
    """Say where a member's process hung, if that is how it ended."""
    try:
        text = (folder / STALLED).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    frames = _FRAME.findall(text)
    if not frames:
        return None
    file, line, function = next((frame for frame in frames if frame[0] != "threading.py"), frames[0])
    return f"gave no sign of life for longer than `stall_minutes`; it hung in {function}, {file} line {line}"
