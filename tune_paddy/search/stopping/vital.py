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

CHECKS = 3
"""Number of checks in a row that find a file gone before it counts as lost."""

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
    return [Vital(_Presence(path.absolute()).loss, resumable) for path in paths if _exists(path)]


def vital_database(path: Path) -> Vital:
    """Return an SQLite database; SQLite makes one that is missing again, empty, at the next connection."""
    return Vital(_Presence(path.absolute(), itself=True).loss, resumable=False)


@contextmanager
def watched(
    vital: Sequence[Vital], interruption: Interruption, leave: Callable[[TunePaddyError], None]
) -> Iterator[None]:
    """Stop the search with a message as soon as something vital is lost; use it inside `interruptible`.

    It does nothing outside the main thread, which alone handles signals.

    Args:
        vital: What to watch, together: one that does not answer holds up the others.
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
        watch.join(GRACE)  # a disk that does not answer may hold it for ever


def require_all(vital: Iterable[Vital], interruption: Interruption) -> None:
    """Look a last time: a process that has a deleted database open goes on reading and writing it.

    Raises:
        SearchInterruptedError: Something is lost, and the search can be resumed without it.
        TunePaddyError: Something is lost for good.
    """
    for each in vital:
        for _ in range(CHECKS):
            loss = _loss(each)
            if loss is not None:
                interruption.note_failure(loss, resumable=each.resumable)
                raise interruption.ended()


def _watch(
    vital: Sequence[Vital],
    interruption: Interruption,
    leave: Callable[[TunePaddyError], None],
    over: threading.Event,
) -> None:
    while not over.wait(SECONDS):
        for each in vital:
            loss = _loss(each)
            if loss is not None and not over.is_set():
                interruption.fail(loss, resumable=each.resumable)
                if not over.wait(GRACE):
                    leave(interruption.ended())
                return


def _loss(vital: Vital) -> str | None:
    with suppress(OSError, psutil.Error):  # no answer says nothing
        return vital.loss()
    return None


def _end_of(process: psutil.Process, purpose: str) -> str | None:
    with suppress(psutil.NoSuchProcess):
        if process.status() != psutil.STATUS_ZOMBIE:
            return None
    return f"a process of Ray on this machine was killed or crashed ({purpose})"


class _Presence:
    """A file or folder that was there.

    Args:
        path: Its absolute path.
        itself: Whether another one in its place is no replacement.
    """

    def __init__(self, path: Path, *, itself: bool = False) -> None:
        self._path, self._known = path, _identity(path) if itself else None
        self._missed = 0

    def loss(self) -> str | None:
        """Return that it is gone, if several checks in a row found that: a file may be replaced meanwhile.

        Raises:
            OSError: Its disk does not answer, or refuses; it may come back.
        """
        try:
            found = _identity(self._path)
        except FileNotFoundError:
            found = None
        gone = found is None or (self._known is not None and found != self._known)
        self._missed = self._missed + 1 if gone else 0
        if self._missed < CHECKS:
            return None
        places = (*reversed(self._path.parents), self._path)
        first = next((place for place in places if not place.exists()), self._path)
        return f"{first} is gone: it was deleted, moved or unmounted while the search ran"


def _exists(path: Path) -> bool:
    with suppress(OSError):  # its disk does not answer
        return path.exists()
    return False


def _identity(path: Path) -> int:
    return path.stat().st_ino  # not the device, whose number changes when a disk is mounted again
