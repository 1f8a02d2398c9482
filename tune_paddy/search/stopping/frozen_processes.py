"""End the processes of members that are frozen, so that Ray retries their trials.

A process that hangs ends itself, see `stall_watch`. One that was stopped (`kill -STOP`, a debugger, a frozen
container) or waits in the kernel cannot. Ray waits for it for ever, since its connection stays open.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tune_paddy.search.stopping.stall_watch import FROZEN, STALLED, Heartbeat

SECONDS = 1.0
"""Interval between two checks, in seconds."""

GRACE = 10.0
"""Time that a process has to end itself after its maximum time without progress, in seconds."""


@contextmanager
def frozen_processes_ended(members: Path) -> Iterator[None]:
    """End frozen processes on this machine while the block runs.

    Those of a cluster that this process did not start are not watched.

    Args:
        members: Folder of all members; each has its own folder in it.
    """
    over, watch = threading.Event(), FrozenWatch(members)

    def check_until_over() -> None:
        while not over.wait(SECONDS):
            watch.check()

    thread = threading.Thread(target=check_until_over, name="frozen", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class FrozenWatch:
    """Compares the files that the members' processes touch with their earlier state.

    Only this process's clock counts: those of other machines and of file systems may differ.

    Args:
        members: Folder of all members.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, members: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._members, self._clock = members, clock
        self._since: dict[Path, tuple[int, float]] = {}

    def check(self) -> None:
        """End every process that has made no progress for longer than it may."""
        for path in self._members.glob(f"*/{STALLED}"):
            with suppress(OSError, psutil.Error):  # the process or its file has just ended
                self._check(path)

    def _check(self, path: Path) -> None:
        touched, now = path.stat().st_mtime_ns, self._clock()
        before, since = self._since.get(path, (None, now))
        if touched != before:
            self._since[path] = (touched, now)
            return
        beat = Heartbeat.read(path)
        if beat is None or now - since <= beat.seconds + GRACE or not _is_ours(beat):
            return
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{FROZEN}\n")
        os.kill(beat.pid, signal.SIGKILL)


def _is_ours(beat: Heartbeat) -> bool:
    """Return whether a process is a descendant of this one; otherwise the id may be that of another."""
    if beat.host != socket.gethostname():
        return False
    return any(process.pid == beat.pid for process in psutil.Process().children(recursive=True))
