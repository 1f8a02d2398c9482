"""Detect that a search has lost what it cannot go on without: a process of Ray, or its own files.

Ray detects the end of the raylet within about 15 s and that of the GCS within a minute. It then ends this
process from C++, without a useful message and without closing the runs that are open. Files that are gone
would fail one trial after another, each after an epoch.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.search.ray.internals import own_processes
from tune_paddy.search.stopping.interruption import Interruption

SECONDS = 1.0
"""Interval between two checks, in seconds."""

GRACE = 4.0
"""Time in which the main thread must react to a failure, in seconds.

It cannot while it waits in Ray's library for an answer of the GCS: no exception reaches it there.
"""

NEEDED = {"raylet": "raylet, which starts the trials", "gcs_server": "GCS, which keeps Ray's state"}
"""Processes without which no trial ends: Ray's name of the kind → its name and purpose."""


@dataclass(frozen=True)
class Vital:
    """Something without which a search cannot go on.

    Attributes:
        loss: Function that returns in words that it is gone; None: it is there.
        resumable: Whether the search can be resumed without it.
    """

    loss: Callable[[], str | None]
    resumable: bool


def ray_processes() -> list[Vital]:
    """Return the processes of the Ray that this process started; none if it uses a cluster."""
    return [
        Vital(partial(_end_of, process, NEEDED[kind]), resumable=True)
        for kind, process in own_processes().items()
        if kind in NEEDED
    ]


def vital_files(paths: Iterable[Path], *, resumable: bool) -> list[Vital]:
    """Return those of some files and folders that exist.

    Args:
        paths: Files and folders.
        resumable: Whether the search can be resumed without them.
    """
    return [Vital(partial(_deletion_of, path.absolute()), resumable) for path in paths if path.exists()]


@contextmanager
def watched(
    vital: Sequence[Vital], interruption: Interruption, leave: Callable[[TunePaddyError], None]
) -> Iterator[None]:
    """Stop the search with a message as soon as something vital is lost; use it inside `interruptible`.

    It does nothing outside the main thread, which alone handles signals.

    Args:
        vital: What to watch.
        interruption: Interruption that reports the failure.
        leave: Function that closes the record and ends the process; called in another thread if the main one
            does not react.
    """
    if not vital or threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()
    arguments = (vital, interruption, leave, over)
    watch = threading.Thread(target=_watch, args=arguments, name="vital", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _watch(
    vital: Sequence[Vital],
    interruption: Interruption,
    leave: Callable[[TunePaddyError], None],
    over: threading.Event,
) -> None:
    while not over.wait(SECONDS):
        for each in vital:
            loss = each.loss()
            if loss is not None:
                interruption.fail(loss, resumable=each.resumable)
                if not over.wait(GRACE):
                    leave(interruption.ended())
                return


def _end_of(process: psutil.Process, purpose: str) -> str | None:
    with suppress(psutil.NoSuchProcess):
        if process.status() != psutil.STATUS_ZOMBIE:
            return None
    return f"a process of Ray on this machine was killed or crashed ({purpose})"


def _deletion_of(path: Path) -> str | None:
    """Return that a file was deleted; a disk that does not answer, or refuses, may come back."""
    try:
        path.stat()
    except FileNotFoundError:
        first = next((parent for parent in reversed(path.parents) if not parent.exists()), path)
        return f"{first}: deleted while the search ran"
    except OSError:
        return None
    return None
