"""Start and stop Ray quietly and closed: no banner, no usage statistics, nothing open to others.

Ray's processes send each other pickles, so whoever may talk to them may run programs as their user. Here
they listen on 127.0.0.1 alone (see `environment`), ask for a token that is made anew for each process, and
keep their files in a folder that no other user can enter; into Ray's own anyone may write.
"""

import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock, Timeout

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.search.ray.environment import warm_workers
from tune_paddy.search.ray.internals import (
    ask_for_tokens,
    prestarted_workers_used,
    quiet_workers,
    sigterm_left_alone,
)

_PREFIX, _OWNED = "tune_paddy-", ".owned"
"""Name of a session's folder, and of the file in it that its process has locked."""

_ANSWER_SECONDS = 10.0
"""How long a cluster is waited for before it counts as gone."""

_LONGEST_FOLDER = 17
"""Bytes; the rest of a socket's name takes 86: our folder, Ray's session with its date, the socket."""


@contextmanager
def ray_session(address: str | None, *, num_gpus: int | None = None) -> Iterator[Any]:
    """Connect to a cluster, or run Ray on this machine while the block runs.

    Where this process has Ray running already, that is used and left running. Ray's logs are removed with its
    session, unless RAY_TMPDIR names a folder to keep them in.

    Args:
        address: Of a Ray cluster; None: this machine alone.
        num_gpus: GPUs of this machine; None: as many as Ray finds.

    Yields:
        The module `ray`.

    Raises:
        InputError: There is no cluster at the address.
    """
    if ray.is_initialized():
        yield ray
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecations, at import and at start
        for name in ("ray", "ray.tune", "ray._private.worker"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with ExitStack() as stack:
            if address:
                _require_answer(address)
            options = {"address": address} if address else stack.enter_context(_closed(num_gpus))
            stack.enter_context(quiet_workers())  # the record says in a line why a worker died
            try:
                with _own_sigterm_handler():
                    ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
            except (OSError, ValueError, RuntimeError) as error:
                reason = str(error).splitlines()[0]
                where = address or "this machine"
                raise InputError(f"Ray could not be reached at {where}: {reason}") from error
            stack.callback(ray.shutdown)
            yield ray


@contextmanager
def _own_sigterm_handler() -> Iterator[None]:
    """Keep the handler of SIGTERM that this process has set, if any, while Ray starts and afterwards."""
    handler = signal.getsignal(signal.SIGTERM)
    if handler is signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield
        return
    with sigterm_left_alone():
        yield
    signal.signal(signal.SIGTERM, handler)


@contextmanager
def _closed(num_gpus: int | None) -> Iterator[dict[str, Any]]:
    """What starts Ray on this machine for this process alone; its files are removed afterwards."""
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # Ray's workers inherit it
    ask_for_tokens()
    cpus = usable_cpus()
    warm_workers(cpus)
    kept = os.environ.get("RAY_TMPDIR")
    parent = Path(kept or _short_folder())
    if not kept:
        _sweep(parent)
    folder = tempfile.mkdtemp(prefix=_PREFIX, dir=parent)  # mode 0700
    lock = FileLock(f"{folder}/{_OWNED}")
    try:
        lock.acquire()
        with prestarted_workers_used():
            yield {
                "address": "local",  # never the cluster that a file of Ray's in /tmp names
                "include_dashboard": False,
                "num_cpus": cpus,
                "num_gpus": num_gpus,
                "_temp_dir": f"{folder}/r",  # Ray opens the folder itself to everyone, so it stands in ours
            }
    finally:
        lock.release()
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove folders of sessions whose process was killed: nobody holds their locks any more."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(Timeout, OSError):  # another user's cannot be looked into
            if not (folder / _OWNED).exists():
                continue  # not yet owned
            with FileLock(folder / _OWNED, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)


def _require_answer(address: str) -> None:
    """Raise when nothing answers at HOST:PORT: Ray itself would try for minutes.

    Raises:
        InputError: There is nothing, or no such host.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not (host and port.isdecimal()):
        return  # such as `auto`: Ray looks for a cluster on this machine
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        raise InputError(
            f"no Ray cluster answers at {address} ({error.strerror or error}); start one there with "
            "`ray start --head`, or leave out `ray_address`",
            options=("ray_address",),
        ) from error


def _short_folder() -> str:
    """The folder for temporary files, or /tmp: a socket's whole name has at most 103 bytes."""
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= _LONGEST_FOLDER else "/tmp"  # noqa: S108 a new folder in it
