"""Start and stop Ray: no banner, no usage statistics, no access for other users.

Ray's processes exchange pickles, so anyone who can connect to them can run code as their user. Here they
listen on 127.0.0.1 alone (see `environment`), require a token that each driver process generates, and keep
their files in a folder that no other user can enter. Ray's default folder is writable by everyone.
"""

import logging
import os
import secrets
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import ray

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.data.system.owned_folders import owned_folder, sweep
from tune_paddy.search.ray.address import require_ray
from tune_paddy.search.ray.environment import warm_workers
from tune_paddy.search.ray.internals import (
    only_needed_processes,
    own_processes,
    patient_start,
    prestarted_workers_used,
    quiet_workers,
    shielded_processes,
    sigterm_left_alone,
    tokens_required,
)
from tune_paddy.search.ray.reaper import reaped

_STARTS = 6
"""Attempts to start Ray: on a busy machine its raylet ends if an agent takes more than 15 s to start."""

_LONGEST_FOLDER = 17
"""Maximum length of the parent folder's path, in bytes; the rest of a socket's path takes 86."""


@contextmanager
def ray_session(
    address: str | None, *, num_gpus: int | None = None, runtime_env: Mapping[str, Any] | None = None
) -> Iterator[Any]:
    """Connect to a cluster, or run Ray on this machine while the block runs.

    If Ray is already running in this process, the block uses it and leaves it running. Ray's logs are removed
    with its session unless RAY_TMPDIR names a folder for them.

    Args:
        address: Address of a Ray cluster; None: this machine alone.
        num_gpus: Number of GPUs of this machine; None: as many as Ray finds.
        runtime_env: What workers need beside what their machines have; None: nothing.

    Yields:
        The module `ray`.

    Raises:
        InputError: No cluster answers at the address, or Ray does not start.
    """
    if ray.is_initialized():
        yield ray
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own deprecation warnings, on import and on start
        for name in ("ray", "ray.tune", "ray._private.worker"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with ExitStack() as stack:
            if address:
                require_ray(address)
            options = {"address": address} if address else stack.enter_context(_closed(num_gpus))
            stack.enter_context(quiet_workers())  # the record has the reason in one line
            try:
                _begin(options, runtime_env, attempts=1 if address else _STARTS)
            except (TypeError, AttributeError):  # a mistake of this program, or another version of Ray
                raise
            except Exception as error:  # on a busy machine, a bare one: "The current node timed out"
                raise InputError(_unreachable(address, error)) from error
            stack.enter_context(_ended_with_this_process(options))
            stack.callback(ray.shutdown)
            yield ray


def _unreachable(address: str | None, error: Exception) -> str:
    r"""Return in one line why Ray could not be reached.

    >>> _unreachable("head:6379", RuntimeError("Version mismatch: it was started with:\n    Ray: 2.9"))
    'Ray could not be reached at head:6379: Version mismatch: it was started with: Ray: 2.9'
    """
    text, hint = str(error).strip(), ""
    if isinstance(error, ConnectionError):
        hint = "; does Ray run there, on that port, with the same token?"
    whole = text.startswith("Version mismatch")  # its further lines have the versions
    reason = " ".join(text.split()) if whole else text.partition("\n")[0]
    return f"Ray could not be reached at {address or 'this machine'}: {reason or type(error).__name__}{hint}"


def _begin(options: Mapping[str, Any], runtime_env: Mapping[str, Any] | None, attempts: int) -> None:
    """Let Ray connect to a cluster or start; a start that fails is repeated, without what it left."""
    before = set(psutil.Process().children())
    try:
        with _own_sigterm_handler(), shielded_processes(), only_needed_processes(), patient_start():
            ray.init(
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                runtime_env=runtime_env and dict(runtime_env),
                **options,
            )
    except (TypeError, AttributeError):
        raise
    except Exception:
        if attempts <= 1:
            raise
        ray.shutdown()
        for process in set(psutil.Process().children()) - before:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if os.getsid(process.pid) == process.pid:  # one of Ray's, see `shielded_processes`
                    process.kill()
                    process.wait()
        _begin(options, runtime_env, attempts - 1)


def _ended_with_this_process(options: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Return a context that ends what is left of a Ray that this process started, and removes its files."""
    leaders = [process.pid for process in own_processes().values()]
    folder = None if _keeps_logs() or "_temp_dir" not in options else Path(options["_temp_dir"]).parent
    return reaped(leaders, folder)


def _keeps_logs() -> bool:
    """Return whether the user named a folder for Ray's files."""
    return bool(os.environ.get("RAY_TMPDIR"))


@contextmanager
def _own_sigterm_handler() -> Iterator[None]:
    """Keep this process's SIGTERM handler, if it has one, while Ray starts and afterwards."""
    handler = signal.getsignal(signal.SIGTERM)
    if handler in (signal.SIG_DFL, None) or threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        with sigterm_left_alone():
            yield
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def _closed(num_gpus: int | None) -> Iterator[dict[str, Any]]:
    """Yield the arguments that start Ray for this process alone; remove its files afterwards."""
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # Ray's workers inherit it
    cpus = usable_cpus()
    warm_workers(cpus)
    kept = _keeps_logs()
    parent = Path(os.environ["RAY_TMPDIR"] if kept else _short_folder())
    if not kept:
        sweep(parent)
    with owned_folder(parent, kept=kept) as folder, prestarted_workers_used(), tokens_required():
        yield {
            "address": "local",  # never a cluster that one of Ray's files in /tmp names
            "include_dashboard": False,
            "num_cpus": cpus,
            "num_gpus": num_gpus,
            "_temp_dir": f"{folder}/r",  # Ray makes it accessible to everyone, so ours contains it
        }


def _short_folder() -> str:
    """Return the folder for temporary files, or /tmp: the path of a socket has at most 103 bytes."""
    folder = tempfile.gettempdir()
    fits = len(os.fsencode(folder)) <= _LONGEST_FOLDER and folder.isprintable()
    return folder if fits else "/tmp"  # noqa: S108 a new folder in it
