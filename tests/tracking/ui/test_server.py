import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer

import pytest

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.tracking.ui.server import HOST, PORT, free_port, mlflow_page

STAND_IN = """\
import sys
from http.server import SimpleHTTPRequestHandler
from socketserver import TCPServer
place = ("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1]))
TCPServer(place, SimpleHTTPRequestHandler).serve_forever()
"""
"""A server in place of MLflow's, which takes seconds to start: it ends if its port is taken."""


class Healthy(BaseHTTPRequestHandler):
    """Answers as another program does that listens on a port."""

    def do_GET(self) -> None:
        """Answer that all is well."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_wanted_port_in_use_is_refused_and_another_port_is_found_automatically() -> None:
    for _ in range(10):
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(InputError, match=f"^port {port}"):
                free_port(port)
        with suppress(InputError):  # another program may have taken it in the meantime
            assert free_port(port) == port
            break
    else:
        pytest.fail("no port is free after it was closed")
    assert PORT <= free_port(None) < PORT + 100


def test_a_port_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match=r"^port 70000"):
        free_port(70000)


def test_a_server_that_does_not_start_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TunePaddyError, match="does not start"), mlflow_page("sqlite:///none.db", None):
        pass


def test_a_server_whose_port_another_took_in_the_meantime_gets_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pages that start at once would both choose the first free port, and one would show the other's."""
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow/__init__.py").touch()
    (tmp_path / "mlflow/__main__.py").write_text(STAND_IN)
    (tmp_path / "health").write_text("OK")
    monkeypatch.chdir(tmp_path)
    with socket.create_server((HOST, 0)) as probe:
        free = probe.getsockname()[1]
    with TCPServer((HOST, 0), Healthy) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        ports = iter([other.server_address[1], free])
        monkeypatch.setattr("tune_paddy.tracking.ui.server.free_port", lambda _: next(ports))
        with mlflow_page("sqlite:///none.db", None) as (process, port):
            assert port == free
            assert process.poll() is None
        other.shutdown()
