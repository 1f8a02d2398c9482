"""End what is left of Ray as soon as the driver has ended, however it ended.

Linux ends the raylet and the GCS together with the driver, and Ray's workers end a moment later. Ray's agents
go on for a minute, and the session's files stay. A small process therefore waits for the end of the driver:
it holds the reading end of a pipe, which the kernel closes with the driver.

The process runs this file as a script, so it imports nothing of this package.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_SECONDS = 10.0
"""Longest wait for the end of the process, in seconds; afterwards it goes on by itself."""


@contextmanager
def reaped(leaders: Collection[int], folder: Path | None) -> Iterator[None]:
    """End all processes of some sessions when the block ends or this process dies, and remove their files.

    Args:
        leaders: Process ids of the sessions' leaders, see `shielded_processes`. Others are ignored.
        folder: Folder to remove; None: none.
    """
    own = [pid for pid in leaders if _session(pid) == pid]
    if not own:
        yield
        return
    command = [sys.executable, "-I", __file__, str(folder or ""), *map(str, own)]
    with _signals_blocked():  # the process inherits it: signals are meant for the driver
        process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    with process:
        try:
            yield
        finally:
            if process.stdin is not None:
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    from tune_paddy.data.system.signals import JOB_SIGNALS  # noqa: PLC0415 the script must not import it

    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, *JOB_SIGNALS))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _reap(folder: str, leaders: frozenset[int]) -> None:
    sys.stdin.read()  # until the driver has ended
    for pid in psutil.pids():
        if _session(pid) in leaders:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _reap(sys.argv[1], frozenset(map(int, sys.argv[2:])))
