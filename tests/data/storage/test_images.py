import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.image_cache.cache import ImageSet
from tune_paddy.data.storage import images as module
from tune_paddy.data.storage.images import images_here, push_images
from tune_paddy.data.storage.storage import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.at(str(tmp_path / "storage"))


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Three images, two of them equal."""
    contents = {"a.JPG": b"first", "b.png": b"second", "c.png": b"second"}
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    sums = tuple(hashlib.sha256(content).hexdigest() for content in contents.values())
    return ImageSet("0123456789abcdef", tuple(str(folder / name) for name in contents), None, sums)


def lose(images: ImageSet) -> None:
    """Remove the images from this machine, as on one that never had them."""
    shutil.rmtree(Path(images.paths[0]).parent)


def test_a_machine_without_the_images_gets_them_once(
    images: ImageSet, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [Path(path).read_bytes() for path in images.paths]
    assert push_images(images, storage) == 2
    lose(images)
    here = images_here(images, storage, tmp_path / "cache")
    assert [Path(here[path]).read_bytes() for path in images.paths] == contents
    assert [Path(here[path]).suffix for path in images.paths] == [".jpg", ".png", ".png"]

    def fail(*_: object) -> None:
        raise TunePaddyError("read again")

    monkeypatch.setattr(Storage, "read", fail)
    assert images_here(images, storage, tmp_path / "cache") == here
    Path(here[images.paths[0]]).unlink()
    with pytest.raises(TunePaddyError, match="read again"):
        images_here(images, storage, tmp_path / "cache")


def test_a_machine_with_the_same_files_uses_them_and_reads_them_once(
    images: ImageSet, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage has nothing, so nothing could be copied."""
    reads: list[str] = []
    has = module._has

    def has_noted(path: str, sum_: str) -> bool:
        reads.append(path)
        return has(path, sum_)

    monkeypatch.setattr(module, "_has", has_noted)
    for _ in range(2):
        assert images_here(images, storage, tmp_path / "cache") == {path: path for path in images.paths}
    assert sorted(reads) == sorted(images.paths)


def test_a_machine_with_another_file_at_a_path_does_not_use_it(
    images: ImageSet, storage: Storage, tmp_path: Path
) -> None:
    push_images(images, storage)
    images_here(images, storage, tmp_path / "cache")
    Path(images.paths[0]).write_bytes(b"other")
    here = images_here(images, storage, tmp_path / "cache")
    assert Path(here[images.paths[0]]).read_bytes() == b"first"


def test_an_upload_that_broke_off_is_continued(
    images: ImageSet, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Storage.write

    def write_one(place: Storage, name: str, content: bytes) -> None:
        if content == b"second":
            raise TunePaddyError("no network")
        write(place, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "write", write_one)
        with pytest.raises(TunePaddyError, match="no network"):
            push_images(images, storage)
    manifest = f".images/{images.fingerprint}.json"
    assert storage.stamp(manifest) is None
    assert push_images(images, storage) == 1
    assert storage.stamp(manifest)
    assert push_images(images, storage) == 0


def test_a_damaged_image_in_the_storage_is_not_used(
    images: ImageSet, storage: Storage, tmp_path: Path
) -> None:
    push_images(images, storage)
    lose(images)
    name = f".images/objects/{images.sums[0][:2]}/{images.sums[0]}"
    storage.write(name, b"fir")
    with pytest.raises(TunePaddyError, match=f"{images.sums[0]}: is damaged; remove it, and upload"):
        images_here(images, storage, tmp_path / "cache")
    storage.remove(name)
    with pytest.raises(TunePaddyError, match=f"{images.sums[0]}: is missing; remove it, and upload"):
        images_here(images, storage, tmp_path / "cache")


def test_a_dataset_that_was_never_uploaded_is_refused(
    images: ImageSet, storage: Storage, tmp_path: Path
) -> None:
    lose(images)
    with pytest.raises(TunePaddyError, match=r"has no complete dataset 0123456789abcdef, .* data push"):
        images_here(images, storage, tmp_path / "cache")


def test_a_disk_without_space_for_the_images_is_refused(
    images: ImageSet, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_images(images, storage)
    lose(images)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(TunePaddyError, match=r"2 images take .* GB, and the disk has .* GB free; free some"):
        images_here(images, storage, tmp_path / "cache")


def test_an_image_that_has_changed_since_it_was_read_is_not_uploaded(
    images: ImageSet, storage: Storage
) -> None:
    with pytest.raises(InputError, match=r"a\.JPG: has changed since"):
        push_images(replace(images, sums=("0" * 64, *images.sums[1:])), storage)


@pytest.mark.parametrize("when", ["before", "during"])
def test_an_image_that_is_gone_is_named(
    images: ImageSet, storage: Storage, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    sizes = module.image_sizes

    def sizes_then_lost(images: ImageSet) -> dict[str, int]:
        known = sizes(images)
        lose(images)
        return known

    if when == "before":
        lose(images)
    else:
        monkeypatch.setattr(module, "image_sizes", sizes_then_lost)
    with pytest.raises(
        InputError, match=r"data/\w\.\w+: cannot be read: No such file .*; the machines"
    ) as error:
        push_images(images, storage)
    assert "\n" not in str(error.value)


def test_a_cache_folder_that_cannot_be_made_is_named(
    images: ImageSet, storage: Storage, tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(TunePaddyError, match=r"cannot be created: .*; set TUNE_PADDY_CACHE to a folder"):
        images_here(images, storage, tmp_path / "cache")
