import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.tracking.server.health import check_server
from tune_paddy.tracking.store import open_store


class Failing(BaseHTTPRequestHandler):
    """Server that answers statuses in turn, and the last one for ever."""

    statuses: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        self.send_response(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("tune_paddy.tracking.server.health.SERVER_WAITS", (0.0, 0.0))
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_server_that_fails_is_asked_again_and_then_named(address: str, tmp_path: Path) -> None:
    Failing.statuses = [503, 500]
    with pytest.raises(TunePaddyError, match="the MLflow server answers 500: read its log"):
        open_store(address, experiment=None, artifact_root=tmp_path, create=False)


@pytest.mark.parametrize("statuses", [[503, 500, 200], [401], [404]])
def test_a_server_that_starts_or_asks_for_a_password_is_no_failure(address: str, statuses: list[int]) -> None:
    Failing.statuses = statuses
    check_server(address)
