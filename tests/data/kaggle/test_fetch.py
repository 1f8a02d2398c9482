"""Fetching a competition, with Kaggle's own client against a local server, and with a fake client."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.kaggle.client import KaggleClient, find_client
from tune_paddy.data.kaggle.fetch import MANIFEST, competition_of, fetch_competition

NAME = "some-contest"
FILES = {"train.csv": b"image_id,label\na.jpg,x\n" * 9, "train_images/x/a.jpg": bytes(range(256)) * 20_000}


def archive(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return file.getvalue()


@dataclass
class Client:
    """Fake of Kaggle's client that writes a given archive."""

    content: bytes
    calls: list[tuple[str, bool]] = field(default_factory=list)

    def competition_download_files(
        self, competition: str, path: str | None = None, force: bool = False, quiet: bool = True
    ) -> None:
        assert path is not None
        assert not force
        self.calls.append((competition, quiet))
        (Path(path) / f"{competition}.zip").write_bytes(self.content)

    def competition_submit(self, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError

    def competition_submissions(self, competition: str) -> Any:
        raise NotImplementedError


def fetch(client: KaggleClient, folder: Path, **options: Any) -> Path:
    options = {"mount": folder.parent / "no-mount", **options}
    return fetch_competition(NAME, folder, client=lambda: client, **options)


def test_files_are_unpacked_and_the_archive_is_removed(tmp_path: Path) -> None:
    said: list[str] = []
    client = Client(archive(FILES))
    assert fetch(client, tmp_path / "here", say=said.append) == tmp_path / "here"
    assert client.calls == [(NAME, True)]
    assert {name: (tmp_path / "here" / name).read_bytes() for name in FILES} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert f"2 files, each with its checksum, in {tmp_path / 'here'}" in said


def test_a_second_call_verifies_every_file_and_requests_nothing(tmp_path: Path) -> None:
    fetch(Client(archive(FILES)), tmp_path / "here")
    client = Client(b"")
    said: list[str] = []
    fetch(client, tmp_path / "here", say=said.append)
    assert client.calls == []
    assert said == [f"{tmp_path / 'here'} is complete: 2 files, each with its checksum"]


@pytest.mark.parametrize("damage", ["changed", "shorter", "gone"])
def test_a_damaged_file_is_detected_and_named(tmp_path: Path, damage: str) -> None:
    folder = fetch(Client(archive(FILES)), tmp_path / "here")
    victim = folder / "train_images/x/a.jpg"
    if damage == "gone":
        victim.unlink()
    else:
        content = bytearray(FILES["train_images/x/a.jpg"])
        content[1000] ^= 1
        victim.write_bytes(content if damage == "changed" else content[:-1])
    with pytest.raises(InputError, match=r"1 of 2 files are missing or damaged(?s:.)*train_images/x/a\.jpg"):
        fetch(Client(b""), folder)


def test_unrelated_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"name another folder \(`folder`\)"):
        fetch(Client(b""), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("cut", [slice(0, -30), slice(5, None)])
def test_a_damaged_archive_is_removed_so_that_the_next_call_downloads_it_again(
    tmp_path: Path, cut: slice
) -> None:
    content = archive(FILES)
    broken = content[:2000] + b"garbage" + content[2007:] if cut.start else content[cut]
    with pytest.raises(InputError, match="run the same command again"):
        fetch(Client(broken), tmp_path / "here")
    assert not (tmp_path / "here").exists()
    fetch(Client(content), tmp_path / "here")
    assert (tmp_path / "here/train.csv").read_bytes() == FILES["train.csv"]


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="outside"):
        fetch(Client(archive({"../evil.txt": b"x"})), tmp_path / "in/here")
    assert not list(tmp_path.rglob("evil.txt"))


@pytest.mark.parametrize("place", [NAME, f"competitions/{NAME}"])
def test_a_mounted_folder_is_used_without_a_client(tmp_path: Path, place: str) -> None:
    mounted = tmp_path / "input" / place
    mounted.mkdir(parents=True)
    client = Client(b"")
    assert fetch(client, tmp_path / "here", mount=tmp_path / "input") == mounted
    assert client.calls == []
    assert not (tmp_path / "here").exists()


def test_a_fetched_folder_records_its_competition_independent_of_its_name(tmp_path: Path) -> None:
    folder = fetch(Client(archive(FILES)), tmp_path / "here").rename(tmp_path / "there")
    assert competition_of(folder) == NAME
    with pytest.raises(InputError, match=f"holds the files of {NAME}: name another folder"):
        fetch_competition("other-contest", folder, client=lambda: Client(b""), mount=tmp_path / "no-mount")


@pytest.mark.parametrize("content", ["", "[1]", '{"files": {}}', '{"competition": "x", "files": {"a": 1}}'])
def test_the_competition_of_other_folders_is_not_guessed(tmp_path: Path, content: str) -> None:
    assert competition_of(tmp_path) == ""
    (tmp_path / MANIFEST).write_text(content)
    assert competition_of(tmp_path) == ""


@pytest.mark.parametrize("place", ["input", "input/competitions"])
def test_a_mounted_folder_is_named_after_its_competition(tmp_path: Path, place: str) -> None:
    assert competition_of(tmp_path / place / NAME, mount=tmp_path / "input") == NAME


@pytest.mark.parametrize("name", ["../up", "a/b", "", "-", "https://x"])
def test_an_invalid_competition_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="not a competition name"):
        fetch_competition(name, tmp_path / "here", client=lambda: Client(b""))


@dataclass
class Server:
    """State of a server that redirects to a signed URL and serves ranges, like Kaggle.

    Attributes:
        content: Content of the archive.
        cuts: Number of connections to close halfway through the response.
        refusal: Status of every response; None: files are sent.
        ranges: Received `Range` headers.
        users: Received `Authorization` headers of API calls.
    """

    content: bytes
    cuts: int = 0
    refusal: int | None = None
    ranges: list[str | None] = field(default_factory=list)
    users: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    kaggle = Server(archive(FILES))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path.endswith("/DownloadDataFiles")
            assert asked["competitionName"] == NAME
            kaggle.users.append(self.headers["Authorization"])
            self.send_response(kaggle.refusal or 302)
            self.send_header("Location", f"/files/{NAME}.zip?Signature=s3cret")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            kaggle.ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            body = kaggle.content[start:]
            self.send_response(206 if wanted else 200)
            for name, value in (
                ("Content-Length", str(len(body))),
                ("Accept-Ranges", "bytes"),
                ("ETag", '"1"'),
                ("Last-Modified", "Mon, 02 May 2022 10:00:00 GMT"),
            ):
                self.send_header(name, value)
            self.end_headers()
            if kaggle.cuts:
                kaggle.cuts -= 1
                body, self.close_connection = body[: len(body) // 2], True
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield kaggle, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture
def official(server: tuple[Server, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KaggleClient:
    """Kaggle's own client, connected to the server of this test."""
    for name in ("API_TOKEN", "API_V1_TOKEN"):
        monkeypatch.delenv(f"KAGGLE_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "kaggle"))
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "s3cret-key")
    kaggle_env = pytest.importorskip("kagglesdk.kaggle_env", reason="the extra `kaggle` is not installed")
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server[1])
    client = find_client()
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the client's own attempts
    return client


def test_kaggles_client_authenticates_and_resumes_after_a_lost_connection(
    server: tuple[Server, str], official: KaggleClient, tmp_path: Path
) -> None:
    server[0].cuts = 1
    fetch(official, tmp_path / "here")
    assert {name: (tmp_path / "here" / name).read_bytes() for name in FILES} == FILES
    first, second = server[0].ranges
    assert first is None
    assert second == f"bytes={2 * 2**20}-"  # the client keeps whole MiB of the received data
    assert server[0].users[0]
    assert server[0].users[0].startswith("Basic ")


def test_a_failed_download_is_resumed_by_the_next_call(
    server: tuple[Server, str], official: KaggleClient, tmp_path: Path
) -> None:
    server[0].cuts = 6  # as often as the client tries
    with pytest.raises(TunePaddyError, match="run the same command again") as refused:
        fetch(official, tmp_path / "here")
    assert "s3cret" not in str(refused.value)
    there = (tmp_path / f".here.download/{NAME}.zip").stat().st_size
    assert 2 * 2**20 <= there < len(server[0].content)
    fetch(official, tmp_path / "here")
    assert server[0].ranges[-1] == f"bytes={there}-"
    assert (tmp_path / "here" / MANIFEST).is_file()


def test_the_error_links_to_rules_that_are_not_accepted(
    server: tuple[Server, str], official: KaggleClient, tmp_path: Path
) -> None:
    server[0].refusal = 403
    with pytest.raises(TunePaddyError, match=rf"accept the rules on .*competitions/{NAME}/rules"):
        fetch(official, tmp_path / "here")
    assert not list(tmp_path.glob("*here*"))
