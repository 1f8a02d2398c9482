"""The storage of a search on a real S3 server: what is refused in one line, and what is waited out."""

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.gate import Gate, State
from tests.tracking.server.processes import ObjectStore, free_port
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.image_cache.cache import ImageSet
from tune_paddy.data.storage import storage as module
from tune_paddy.data.storage.images import FOLDER, images_here, push_images
from tune_paddy.data.storage.storage import Storage

pytestmark = pytest.mark.cluster


@dataclass(frozen=True)
class Place:
    """A storage on an S3 server behind a gate."""

    server: ObjectStore
    gate: Gate
    storage: Storage


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """The server, with its address and keys as variables, as a machine of a cluster has them."""
    for package in ("moto", "boto3"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    root = Path(tempfile.mkdtemp(prefix="tune-paddy-s3-"))
    server = ObjectStore(root)
    try:
        server.start()
        with Gate(server.port) as gate, pytest.MonkeyPatch.context() as patch:
            for name, value in server.environment.items():
                patch.setenv(name, value)
            yield Place(server, gate, at(gate.port, server.bucket))
    finally:
        server.kill()
        shutil.rmtree(root)


def at(port: int, bucket: str) -> Storage:
    """Return a storage in a bucket of a server of this machine."""
    return Storage.at(f"s3://{bucket}/searches?endpoint_override=127.0.0.1:{port}&scheme=http")


def refusal(storage: Storage) -> str:
    """Return the line with which a storage is refused before a search starts."""
    with pytest.raises(InputError) as error:
        storage.check()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_bucket_is_accepted_and_nothing_is_left_in_it(place: Place) -> None:
    storage = place.storage.folder("fresh")
    storage.check()
    assert storage.files() == {}


def test_a_missing_bucket_is_refused(place: Place) -> None:
    assert "NO_SUCH_BUCKET" in refusal(at(place.gate.port, "missing"))


@pytest.mark.parametrize("rights", [("s3:Get*", "s3:List*"), ()], ids=["reading", "none"])
def test_a_bucket_that_cannot_be_written_is_refused(rights: tuple[str, ...], place: Place) -> None:
    place.server.allow(*rights)
    try:
        assert "ACCESS_DENIED" in refusal(place.storage)
    finally:
        place.server.allow("s3:*")


def test_a_wrong_key_is_refused_and_not_shown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    module._file_system.cache_clear()
    try:
        line = refusal(place.storage)
    finally:
        module._file_system.cache_clear()
    assert "SIGNATURE_DOES_NOT_MATCH" in line
    assert "planted" not in line


def test_a_server_that_does_not_run_is_refused(place: Place) -> None:
    assert "cannot be written" in refusal(at(free_port(), place.server.bucket))


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Forty images."""
    contents = [bytes([number]) * 1000 for number in range(40)]
    folder = tmp_path / "data"
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    sums = tuple(hashlib.sha256(content).hexdigest() for content in contents)
    return ImageSet(
        hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16], tuple(map(str, paths)), None, sums
    )


def test_calls_wait_while_the_server_is_away(
    place: Place, images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fails at least once: pyarrow's own repetitions have ended when the gate opens."""
    storage = place.storage.folder("away")
    storage.write("kept", b"content")
    waits: list[float] = []
    monkeypatch.setattr(module, "repeated", _noting(waits))
    calls: list[Callable[[], object]] = [
        lambda: storage.read("kept"),
        lambda: storage.write("new", b"content"),
        lambda: storage.upload(Path(images.paths[0]), "uploaded"),
        lambda: storage.download("kept", tmp_path / "downloaded"),
        lambda: push_images(images, place.storage),
    ]
    threads = [threading.Thread(target=call) for call in calls]
    with place.gate.shut(State.CLOSED):
        for thread in threads:
            thread.start()
        while len(waits) < len(calls):
            threads[0].join(0.1)
    for thread in threads:
        thread.join()
    assert (tmp_path / "downloaded").read_bytes() == storage.read("new") == b"content"
    assert storage.read("uploaded") == Path(images.paths[0]).read_bytes()
    shutil.rmtree(Path(images.paths[0]).parent)
    assert len(images_here(images, place.storage, tmp_path / "cache")) == len(images.paths)


def _noting(waits: list[float]) -> Callable[..., object]:
    """Return `repeated` that notes each wait of a call."""
    repeated = module.repeated

    def note(*arguments: object, **options: object) -> object:
        judge = options.pop("judge")

        def judged(error: BaseException) -> object:
            failure = judge(error)  # type: ignore[operator]
            waits.append(failure.seconds)
            return failure

        return repeated(*arguments, **options, judge=judged)  # type: ignore[arg-type]

    return note


def test_a_truncated_image_is_named_and_not_used(place: Place, images: ImageSet, tmp_path: Path) -> None:
    push_images(images, place.storage)
    shutil.rmtree(Path(images.paths[0]).parent)
    name = f"objects/{images.sums[0][:2]}/{images.sums[0]}"
    place.storage.folder(FOLDER).write(name, b"\0" * 10)
    with pytest.raises(TunePaddyError, match=f"{images.sums[0]}: is damaged; remove it") as error:
        images_here(images, place.storage, tmp_path / "cache")
    assert "\n" not in str(error.value)


def test_an_upload_that_was_interrupted_goes_on_where_it_ended(
    place: Place, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Storage.write, list[str]()

    def interrupted(storage: Storage, name: str, content: bytes) -> None:
        if len(written) == 10:
            raise KeyboardInterrupt
        write(storage, name, content)
        written.append(name)

    place.server.empty()
    place.server.client().create_bucket(Bucket=place.server.bucket)
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            push_images(images, place.storage)
    assert push_images(images, place.storage) == len(images.paths) - len(set(written))
    assert push_images(images, place.storage) == 0
