"""Signals that end a program: Ctrl-C, the end of its job, the end of its terminal."""

import os
import signal
from contextlib import suppress

HANG_UP: int | None = getattr(signal, "SIGHUP", None)
"""Signal at the end of the terminal or of the connection to it; None: the system has none."""

JOB_SIGNALS: tuple[int, ...] = (signal.SIGTERM, *(() if HANG_UP is None else (HANG_UP,)))
"""Signals that managers of jobs and closed terminals send, often to all processes of a job."""


def is_ignored_hang_up(number: int) -> bool:
    """Return whether a signal is the hang-up and `nohup` started this process, which shall survive it."""
    return number == HANG_UP and signal.getsignal(number) == signal.SIG_IGN


def leave_terminal() -> None:
    """Discard further output to a terminal that is gone, since writing to it would fail."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            if os.isatty(stream):
                os.dup2(nowhere, stream)
        os.close(nowhere)
