"""Progress in a log or a pipe: a plain line now and then, for stages that take long."""

import threading
from collections.abc import Callable

from rich.console import Console

from tune_paddy.data.system.progress.stages import Stage

INTERVAL = 10.0
"""Time before a stage's first line, in seconds: short work prints nothing."""
_LONGEST, _GROWTH = 60.0, 1.5
"""Limit of the time between two lines in seconds, and its factor from one to the next."""


def write_line(console: Console, line: str) -> None:
    """Write a line at once, without colours or wrapping; a reader that has gone ends no work.

    Args:
        console: Output; a quiet one prints nothing.
        line: Text without a line feed.
    """
    if console.quiet:
        return
    try:
        console.file.write(f"{line}\n")
        console.file.flush()
    except (OSError, ValueError):  # closed, for example by `head`
        console.quiet = True


class LineProgress:
    """Writes the running stage now and then, from a thread of its own.

    Args:
        write: Function that prints a line.
        interval: Time before a stage's first line, in seconds; it grows up to a minute between later lines.
    """

    def __init__(self, write: Callable[[str], None], interval: float = INTERVAL) -> None:
        self._write, self._interval = write, interval
        self._stage: Stage | None = None
        self._stop: threading.Event | None = None

    def stage(self, what: str, total: int | None = None) -> None:
        """Begin a stage; its first line follows after the interval."""
        self.clear()
        self._stage, self._stop = Stage(what, total), threading.Event()
        threading.Thread(target=self._beat, args=(self._stage, self._stop), daemon=True).start()

    def advance(self, count: int = 1) -> None:
        """Count finished units."""
        if self._stage is not None:
            self._stage.done += count

    def clear(self) -> None:
        """Write no more lines."""
        if self._stop is not None:
            self._stop.set()
        self._stage = self._stop = None

    def _beat(self, stage: Stage, stop: threading.Event) -> None:
        interval = self._interval
        while not stop.wait(interval):
            self._write(stage.words())
            interval = max(self._interval, min(_GROWTH * interval, _LONGEST))
