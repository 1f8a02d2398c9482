"""Detect a trial that hangs, and end its process so that Ray can retry it.

The process ends itself, from a thread. A frozen process cannot: it was stopped by a signal or a debugger, or
it waits in the kernel for a disk or a driver. The search's own process therefore watches, too; see
`frozen_processes`.
"""

import faulthandler
import json
import os
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

STALLED = "stalled.txt"
"""File in a member's folder that its process touches while it makes progress.

Its first line names the process (see `Heartbeat`); the tracebacks of a process that hung follow.
"""

FROZEN = "frozen"
"""Line in the file after which the search's own process ended the member's process."""

_SETTING = 1.0
"""Minimum time between two resets of the timer, in seconds."""

_FRAME = re.compile(r'File "[^"]*?([^/"]+)", line (\d+) in (\S+)')


@dataclass(frozen=True)
class Heartbeat:
    """Process of a member that is trained.

    Attributes:
        host: Name of its machine.
        pid: Id of the process.
        seconds: Maximum time without progress, in seconds.
    """

    host: str
    pid: int
    seconds: float

    def line(self) -> str:
        """Return the first line of the file."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Heartbeat | None":
        """Read a file; None: it is missing, or its first line is not complete."""
        try:
            with path.open(encoding="utf-8") as file:
                return cls(**json.loads(file.readline()))
        except (OSError, ValueError, TypeError):
            return None


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
            self._file.write(Heartbeat(socket.gethostname(), os.getpid(), 60 * self._minutes).line())
            self._file.flush()
            self.alive()
        return self

    def alive(self) -> None:
        """Reset the timer."""
        if self._minutes is not None and self._clock() - self._set >= _SETTING:
            faulthandler.dump_traceback_later(60 * self._minutes, file=self._file, exit=True)
            with suppress(OSError):  # the folder was removed: the next checkpoint tells
                os.utime(self._path)
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
    """Return where a member's process hung or that it was frozen, in one line; None if neither."""
    try:
        text = (folder / STALLED).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    if FROZEN in text.splitlines()[1:]:
        return "made no progress for longer than `stall_minutes`; its process was stopped or could not run"
    frames = _FRAME.findall(text)
    if not frames:
        return None
    file, line, function = next((frame for frame in frames if frame[0] != "threading.py"), frames[0])
    return f"made no progress for longer than `stall_minutes`; it hung in {function}, {file} line {line}"
