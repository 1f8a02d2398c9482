"""Serve MLflow's page for a local database, on this machine only."""

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

import psutil

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.tracking.client import QUIET, one_line

HOST = "127.0.0.1"
PORT = 5000
"""MLflow's default port, and that of its pages."""

SERVING_PORT = 5001
"""Port on which the documented commands serve a model; the pages leave it free."""

PATIENCE = 120.0
"""Time limit for the server's start, in seconds."""
_POLITE = 3.0
"""Time after SIGTERM until the server is killed, in seconds."""
_PORTS = 100
"""Number of ports to try, from MLflow's default."""


def free_port(wanted: int | None) -> int:
    """Return a free port: the wanted one, or the first from MLflow's default.

    Raises:
        InputError: The wanted port, or every port, is in use or not allowed.
    """
    if wanted is not None:
        if not _is_free(wanted):
            raise InputError(
                f"port {wanted}: in use or not allowed; leave it out to use a free port",
                options=("port",),
            )
        return wanted
    for port in range(PORT, PORT + _PORTS):
        if port != SERVING_PORT and _is_free(port):
            return port
    raise InputError(
        f"the ports {PORT} to {PORT + _PORTS - 1} are all in use; choose another `port`", options=("port",)
    )


@contextlib.contextmanager
def mlflow_page(tracking_uri: str, wanted: int | None) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Serve MLflow's page while the block runs; the page is reachable when the block begins.

    Args:
        tracking_uri: Absolute address of a database.
        wanted: Port to listen on; None: the first free one, see `free_port`.

    Yields:
        The server's process and its port.

    Raises:
        InputError: The wanted port, or every port, is in use or not allowed.
        TunePaddyError: The server does not start.
    """
    with tempfile.TemporaryFile() as log, contextlib.ExitStack() as stack:
        while True:
            port = free_port(wanted)
            process = _start(tracking_uri, port, log)
            stack.callback(_end, process)
            try:
                _await(process, port, log)
            except TunePaddyError:
                if wanted is not None or _is_free(port):
                    raise
                continue  # another program took the port in the meantime
            yield process, port
            return


def _start(tracking_uri: str, port: int, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    environment = {
        **QUIET,
        # Two processes instead of nine, and half the time to start: one user needs no more, and no jobs.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": tracking_uri,  # may contain a password, which `ps` shows to all users
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
    # A process group of its own: Ctrl-C reaches only this process, which then ends the whole group.
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def _await(process: "subprocess.Popen[bytes]", port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (_answers(port) and _listens(process, port)):
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            lines = log.read().decode(errors="replace").splitlines()
            reason = next((line for line in reversed(lines) if line.strip()), "no output")
            raise TunePaddyError(f"MLflow's page does not start: {one_line(reason)}")
        time.sleep(0.2)


def _answers(port: int) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy asks its own machine
    try:
        direct.open(f"http://{HOST}:{port}/health", timeout=2).close()
    except OSError:
        return False
    return True


def _listens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    """Return whether it is this server that listens on a port: two that start at once may choose the same."""
    with contextlib.suppress(psutil.NoSuchProcess):
        server = psutil.Process(process.pid)
        for one in (server, *server.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                ports = [
                    at.laddr.port for at in one.net_connections("inet") if at.status == psutil.CONN_LISTEN
                ]
                if port in ports:
                    return True
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Terminate the server and its workers; kill them if they do not end in time."""
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
