"""MLflow's page on a database of one's own, for this machine alone."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from typing import IO

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.tracking.client import QUIET, one_line

HOST = "127.0.0.1"
PORT = 5000
"""MLflow's own."""

PATIENCE = 120.0
"""Seconds for which the server may start."""
_POLITE = 3.0
"""Seconds for which it may end by itself."""
_PORTS = 100
"""Ports after the wanted one that are tried."""


def free_port(wanted: int | None) -> int:
    """A port that nobody listens on: the wanted one, or the first from MLflow's own.

    Raises:
        InputError: The wanted port is taken or not allowed; or all are.
    """
    if wanted is not None:
        if not _is_free(wanted):
            raise InputError(
                f"port {wanted}: cannot be listened on, as another program may do; leave it out",
                options=("port",),
            )
        return wanted
    for port in range(PORT, PORT + _PORTS):
        if _is_free(port):
            return port
    raise InputError(
        f"the ports {PORT} to {PORT + _PORTS - 1} are all taken: name one as `port`", options=("port",)
    )


@contextlib.contextmanager
def mlflow_page(tracking_uri: str, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Serve MLflow's page while the block runs; it is reachable when the block begins.

    Args:
        tracking_uri: Absolute address of a database.
        port: A free one.

    Yields:
        The server's process.

    Raises:
        TunePaddyError: The server does not start.
    """
    with tempfile.TemporaryFile() as log:
        process = _start(tracking_uri, port, log)
        try:
            _await(process, port, log)
            yield process
        finally:
            _end(process)


def _start(tracking_uri: str, port: int, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    environment = {
        **QUIET,
        # Two processes instead of nine, and half the time to start: there is one reader, and no job.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": tracking_uri,  # may hold a password, which everybody's `ps` would show
    }
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        HOST,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    # A group of its own: Ctrl-C reaches this process alone, which then ends the whole group.
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def _await(process: "subprocess.Popen[bytes]", port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines()
            reason = next((line for line in reversed(lines) if line.strip()), "it says nothing")
            raise TunePaddyError(f"MLflow's page does not start: {one_line(reason)}")
        time.sleep(0.2)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2).close()
    except OSError:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the server and its workers, by force if need be."""
    for request in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLITE)
            return


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True
