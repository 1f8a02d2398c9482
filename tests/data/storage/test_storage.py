import errno
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyarrow import fs

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.storage import storage as module
from tune_paddy.data.storage.storage import Storage
from tune_paddy.data.system import repetition


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_is_written_is_read_listed_and_removed(scheme: str, tmp_path: Path) -> None:
    storage = pickle.loads(pickle.dumps(Storage.at(f"{scheme}{tmp_path}/shared/").folder("one", "two")))  # noqa: S301
    assert storage.read("a/b.bin") is storage.stamp("a/b.bin") is None
    assert storage.files() == {}
    storage.write("a/b.bin", b"first")
    storage.write("a/b.bin", b"second")
    assert storage.read("a/b.bin") == b"second"
    assert storage.files() == {"a/b.bin": storage.stamp("a/b.bin")}
    assert (tmp_path / "shared/one/two/a/b.bin").read_bytes() == b"second"
    storage.remove("a/b.bin")
    storage.remove("a/b.bin")
    assert storage.files() == {}


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    storage, content = Storage.at(str(tmp_path / "shared")), bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    storage.upload(tmp_path / "file", "x/y")
    storage.download("x/y", tmp_path / "new" / "file")
    assert (tmp_path / "new" / "file").read_bytes() == content
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_a_copy_that_breaks_off_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage.at(str(tmp_path / "shared"))
    storage.write("file", b"old")

    def broken(_source: str, target: str, **_: object) -> None:
        Path(target).write_bytes(b"ne")
        raise OSError("[Errno 28] No space left on device")

    monkeypatch.setattr(fs, "copy_files", broken)
    with pytest.raises(TunePaddyError, match=r"cannot be written: .*No space left"):
        storage.upload(tmp_path / "anything", "file")
    with pytest.raises(TunePaddyError, match="cannot be read"):
        storage.download("file", tmp_path / "target")
    assert [path.name for path in tmp_path.rglob("*")] == ["shared", "file"]
    assert storage.read("file") == b"old"


@pytest.fixture
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A storage that publishes what was written when a stream is closed, also after an error, as S3 does."""
    monkeypatch.setattr(module, "_ATOMIC", frozenset(("local",)))
    (tmp_path / "bucket").mkdir()
    return Storage.at(str(tmp_path / "bucket"))


class Interrupted:
    """A file system whose output streams are closed after half of the first write."""

    def __init__(self, system: Any) -> None:
        self._system = system

    def __getattr__(self, name: str) -> Any:
        return getattr(self._system, name)

    @contextmanager
    def open_output_stream(self, path: str) -> Iterator[Any]:
        with self._system.open_output_stream(path) as stream:
            yield SimpleNamespace(write=lambda content: _write_half(stream, content))


def _write_half(stream: Any, content: bytes) -> None:
    stream.write(content[: len(content) // 2])
    raise KeyboardInterrupt


def test_an_object_is_never_published_in_part(
    objects: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_source: str, target: str, **_: object) -> None:
        Path(target).write_bytes(b"ne")
        raise OSError("[Errno 5] Input/output error")

    (tmp_path / "file").write_bytes(b"new content")
    objects.upload(tmp_path / "file", "file")
    system, top = objects._opened()
    monkeypatch.setattr(fs, "copy_files", broken)
    for name in ("file", "other"):
        with pytest.raises(TunePaddyError, match=r"cannot be written: .*Input/output error"):
            objects.upload(tmp_path / "file", name)
    monkeypatch.setattr(Storage, "_opened", lambda _: (Interrupted(system), top))
    with pytest.raises(KeyboardInterrupt):
        objects.write("written", b"new content")
    assert objects.files() == {}


def test_an_object_stays_if_its_replacement_does_not_begin(objects: Storage, tmp_path: Path) -> None:
    objects.write("file", b"old")
    with pytest.raises(TunePaddyError, match="cannot be written"):
        objects.upload(tmp_path / "missing", "file")
    assert objects.read("file") == b"old"


@pytest.mark.parametrize("published", [True, False])
def test_a_file_that_changes_while_it_is_copied_is_not_stored(
    published: bool, objects: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = fs.copy_files

    def late(source: str, target: str, **options: Any) -> None:
        copy(source, target, **options)
        Path(source).write_bytes(b"more than the whole content")

    monkeypatch.setattr(fs, "copy_files", late)
    if not published:
        monkeypatch.setattr(module, "_ATOMIC", frozenset())
    (tmp_path / "file").write_bytes(b"whole content")
    with pytest.raises(TunePaddyError, match="changed while it was copied"):
        objects.upload(tmp_path / "file", "file")
    assert list((tmp_path / "bucket").iterdir()) == []


def test_a_file_that_a_killed_process_left_unfinished_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".file.0123abcd.part").write_bytes(b"hal")
    assert Storage.at(str(tmp_path)).files() == {}


@pytest.mark.parametrize("address", ["s3://me:planted@bucket/a", "s3://bucket/a?secret_key=planted"])
def test_credentials_in_an_address_are_refused_and_not_shown(address: str) -> None:
    with pytest.raises(InputError, match="contains credentials") as error:
        Storage.at(address)
    assert "planted" not in str(error.value)


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(InputError, match="no address; give an absolute path"):
        Storage.at("shared/runs")


@pytest.mark.parametrize("address", ["nope://bucket/prefix", "/dev/null/prefix"])
def test_a_storage_that_cannot_be_used_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(InputError, match=f"^storage: {address} cannot be written: ") as error:
        Storage.at(address).check()
    assert "\n" not in str(error.value)
    assert error.value.options == ("storage",)


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    Storage.at(str(tmp_path)).check()
    assert list(tmp_path.iterdir()) == []


def test_the_address_of_a_folder_keeps_its_query() -> None:
    storage = Storage.at("s3://bucket/prefix?region=eu-west-1").folder("night", "members")
    assert str(storage) == "s3://bucket/prefix/night/members?region=eu-west-1"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/shared/folder", "/shared/folder"),
        ("s3://bucket/a", "s3://bucket/a?allow_delayed_open=true&region=eu-west-1"),
        ("s3://bucket/a?region=us-east-1", "s3://bucket/a?allow_delayed_open=true&region=us-east-1"),
    ],
)
def test_the_region_of_the_environment_is_that_of_an_address_without_one(
    address: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert module._with_options(address) == expected


AWAY = OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_each_call_waits_for_a_storage_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of a shared folder is away when a call begins."""
    storage, opened, away = Storage.at(str(tmp_path / "shared")), Storage._opened, list[bool]()

    def fail_first(storage: Storage) -> tuple[Any, str]:
        if away:
            away.pop()
            raise AWAY
        return opened(storage)

    monkeypatch.setattr(repetition, "pauses", lambda: iter([0.0] * 9))
    monkeypatch.setattr(Storage, "_opened", fail_first)
    (tmp_path / "file").write_bytes(b"content")
    calls: dict[str, Callable[[], object]] = {
        "write": lambda: storage.write("a", b"content"),
        "upload": lambda: storage.upload(tmp_path / "file", "b"),
        "download": lambda: storage.download("b", tmp_path / "copy"),
        "read": lambda: storage.read("a"),
        "stamp": lambda: storage.stamp("a") is None,
        "files": lambda: sorted(storage.files()),
        "remove": lambda: storage.remove("a"),
    }
    results = {}
    for name, call in calls.items():
        away.append(True)
        results[name] = call()
        assert not away, name
    assert (tmp_path / "copy").read_bytes() == results["read"] == b"content"
    assert (results["stamp"], results["files"]) == (False, ["a", "b"])
    assert storage.files().keys() == {"b"}


def test_a_person_does_not_wait_for_a_storage_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Storage) -> tuple[Any, str]:
        raise AWAY

    monkeypatch.setattr(repetition, "pauses", lambda: iter(()))
    monkeypatch.setattr(Storage, "_opened", fail)
    with pytest.raises(InputError, match=f"cannot be written: .*{AWAY.strerror}"):
        Storage.at(str(tmp_path)).check()
