import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.tracking.server.health import check_server
from tune_paddy.tracking.store import open_store


class Failing(BaseHTTPRequestHandler):
    """Server that answers statuses in turn, and the last one for ever; queries get an empty answer."""

    statuses: ClassVar[list[int]] = []
    queries: ClassVar[list[str]] = []
    refusal: ClassVar[int] = 0

    def do_GET(self) -> None:
        self._query()
        self._answer(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._query()
        self._answer(self.refusal or 200)

    def _query(self) -> None:
        self.queries.append(self.path.partition("?")[0].rpartition("/mlflow/")[2])

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}" if status < 400 else b"no")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("tune_paddy.tracking.server.health.SERVER_WAITS", (0.0, 0.0))
    monkeypatch.setattr(Failing, "queries", [])
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


def test_a_server_gets_one_query_beside_that_for_its_health(address: str, tmp_path: Path) -> None:
    Failing.statuses = [200]
    open_store(address, experiment=None, artifact_root=tmp_path, create=False)
    assert Failing.queries == ["/health", "experiments/search"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, r"the MLflow server refuses the user name or the password; set MLFLOW_TRACKING_USERNAME"),
        (
            403,
            r"the MLflow server forbids the request \(403\): this user lacks the permission, or the server",
        ),
    ],
)
def test_a_refusal_says_what_is_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    Failing.statuses = [200]
    monkeypatch.setattr(Failing, "refusal", status)
    with pytest.raises(InputError, match=f"^{address}: {words}") as error:
        open_store(address, experiment=None, artifact_root=tmp_path, create=False)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (
            "postgresql+nothing://host/db",
            r"postgresql\+nothing is no driver that SQLAlchemy knows; write one",
        ),
        (
            "postgresql://host:port/db",
            r"is no address of a database \(.*'port'\); write one such as postgres",
        ),
    ],
)
def test_an_address_of_a_database_that_cannot_be_one_is_refused(uri: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as error:
        open_store(uri, experiment=None, artifact_root=tmp_path, create=False)
    assert "\n" not in str(error.value)
