"""Progress in a log or a pipe: a plain line now and then, whenever nothing was printed for long."""

import threading
import time
from collections.abc import Callable

from rich.console import Console

from tune_paddy.data.system.progress.stages import Stage

INTERVAL = 10.0
"""Longest silence of a program in seconds, in work of minutes: short work prints nothing."""
_LONGEST, _SHARE = 60.0, 1 / 60
"""Longest silence of all in seconds, and the share of a stage's duration that its silences may last."""


class Silence:
    """Time since a program printed its last line.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._since = clock, clock()

    @property
    def seconds(self) -> float:
        """Duration so far, in seconds."""
        return self._clock() - self._since

    def end(self) -> None:
        """Note that a line is printed now."""
        self._since = self._clock()


def longest_silence(seconds: float, shortest: float = INTERVAL) -> float:
    """Return how long nothing may be printed in work that has taken `seconds`; the longer, the rarer.

    >>> [longest_silence(seconds) for seconds in (0, 600, 1200, 36_000)]
    [10.0, 10.0, 20.0, 60.0]
    """
    return max(shortest, min(_SHARE * seconds, _LONGEST))


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
    """Writes the running stage whenever the program has printed nothing for long, from a thread of its own.

    Args:
        write: Function that prints a line.
        silence: Time since the program's last line, over all stages; None: it begins now.
        interval: Longest silence in seconds; in stages of hours it grows up to a minute.
    """

    def __init__(
        self, write: Callable[[str], None], silence: Silence | None = None, interval: float = INTERVAL
    ) -> None:
        self._write, self._silence, self._interval = write, silence or Silence(), interval
        self._stage: Stage | None = None
        self._stop: threading.Event | None = None

    def stage(self, what: str, total: int | None = None) -> None:
        """Begin a stage; it prints nothing while the silence is short."""
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
        while not stop.wait(self._left(stage)):
            if self._left(stage) <= 0:
                self._write(stage.words())
                self._silence.end()

    def _left(self, stage: Stage) -> float:
        """Return the time in seconds after which the silence is too long."""
        return longest_silence(stage.seconds, self._interval) - self._silence.seconds
