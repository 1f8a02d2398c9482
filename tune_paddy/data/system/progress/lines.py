"""Progress in a log or a pipe: a plain line now and then, for stages that take long."""

import threading
from collections.abc import Callable

from rich.console import Console

from tune_paddy.data.system.progress.stages import Stage

INTERVAL = 10.0
"""Time between two lines, and before a stage's first line, in seconds: short work prints nothing."""


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
    """Writes the running stage every `interval` seconds, from a thread of its own.

    Args:
        write: Function that prints a line.
        interval: Time between two lines, in seconds.
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
        while not stop.wait(self._interval):
            self._write(stage.words())
