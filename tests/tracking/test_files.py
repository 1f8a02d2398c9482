import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.tracking.files import download, log_files, read_file
from tune_paddy.tracking.runs import get_search
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.server import outages
from tune_paddy.tracking.store import Store


def test_a_file_above_its_size_limit_is_not_read(store: Store, tmp_path: Path) -> None:
    """The message names the run instead of the path."""
    run_id = start_search(store, name="night")
    for name, size in (("small", 2**20), ("large", 2**20 + 1)):
        (tmp_path / name).write_bytes(bytes(size))
        log_files(store, run_id, [tmp_path / name])
    run = get_search(store, "night")
    assert len(read_file(store, run, "small", most=1, what="a thing")) == 2**20
    with pytest.raises(
        InputError, match=f"^run {run_id}/large: is larger than 1 MiB, so it cannot be a thing$"
    ):
        read_file(store, run, "large", most=1, what="a thing")


class Proxy(BaseHTTPRequestHandler):
    """MLflow's server before a storage that has one file: it answers 500 for those that are missing."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        path, _, query = self.path.partition("/mlflow-artifacts/artifacts")[2].partition("?")
        self.asked.append(path)
        if not path:
            files = [] if query.endswith(".csv") else [{"path": "there.csv", "is_dir": False, "file_size": 2}]
            self._answer(200, json.dumps({"files": files}).encode())
        else:
            self._answer(200 if path.endswith("/there.csv") else 500, b"ok")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_missing_artifact_is_told_without_repetitions_although_a_server_answers_500(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "ERROR_SECONDS", 1.0)
    monkeypatch.setattr(Proxy, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        artifacts = f"mlflow-artifacts://127.0.0.1:{server.server_port}/1/run/artifacts"
        assert download(f"{artifacts}/there.csv", tmp_path, uri).read_bytes() == b"ok"
        with pytest.raises(TunePaddyError, match=r"/gone\.csv: there is no such file$"):
            download(f"{artifacts}/gone.csv", tmp_path, uri)
        server.shutdown()
    assert Proxy.asked.count("/1/run/artifacts/gone.csv") == 1


def test_a_missing_artifact_on_this_machine_is_told(store: Store, tmp_path: Path) -> None:
    start_search(store, name="night")
    artifacts = get_search(store, "night").artifact_uri
    with pytest.raises(TunePaddyError, match=r"/gone\.csv: there is no such file$"):
        download(f"{artifacts}/gone.csv", tmp_path, store.tracking_uri)
