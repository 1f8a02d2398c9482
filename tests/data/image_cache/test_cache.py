import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from tests.data.pixels import load_pixels
from tune_paddy.data.image_cache import cache as cache_module
from tune_paddy.data.image_cache import entry
from tune_paddy.data.image_cache.cache import GB, CacheRefusedError, ImageCache, ImageSet, Resizing
from tune_paddy.data.image_cache.shards import SUFFIX
from tune_paddy.data.images import ImageError

N = 40
SQUISH = Resizing((24, 20), "squish")
BYTES = 3 * 24 * 20 * N


@pytest.fixture(scope="module")
def images(photo_paths) -> ImageSet:
    return ImageSet("0123456789abcdef", photo_paths)


@pytest.fixture(scope="module")
def photo_paths(tmp_path_factory):
    from tests.data.conftest import make_photo  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.png" for number in range(N)]
    for number, path in enumerate(paths):
        make_photo(number, (20, 24)).save(path)
    return tuple(map(str, paths))


@pytest.fixture(autouse=True)
def _several_shards(monkeypatch):
    monkeypatch.setattr(entry, "_MOST", 7)


@pytest.fixture
def cache(tmp_path) -> ImageCache:
    return ImageCache(tmp_path / "images", 10 * BYTES)


def load(path, calls=None):
    """Load the image unresized: the cache does not depend on the content."""
    if calls is not None:
        calls.append(path)
    return np.ascontiguousarray(load_pixels(path).transpose(2, 0, 1))


def shards(cache):
    return sorted(cache.folder.glob(f"*/*{SUFFIX}"))


def assert_all_there(cached, images):
    for path in images.paths:
        assert np.array_equal(cached.read(path), load(path))


@pytest.mark.parametrize("threads", [1, 3])
def test_each_image_is_decoded_once_and_read_by_all(cache, images, threads):
    calls: list[str] = []
    for _ in range(2):
        with cache.open(images, SQUISH, partial(load, calls=calls), threads=threads) as cached:
            assert_all_there(cached, images)
    assert sorted(calls) == sorted(images.paths)
    assert len(shards(cache)) == 6


def test_an_image_outside_the_dataset_is_a_cache_miss(cache, images):
    with cache.open(images, SQUISH, load) as cached:
        assert cached.read("/elsewhere.png") is None


@pytest.mark.parametrize(
    ("images", "resizing", "versions"),
    [
        (ImageSet("ffff", ("a", "b")), SQUISH, ()),
        (ImageSet("0123", ("a", "b")), Resizing((20, 24), "squish"), ()),
        (ImageSet("0123", ("a", "b")), Resizing((24, 20), "crop"), ()),
        (ImageSet("0123", ("a", "b")), SQUISH, ("pillow 99",)),
    ],
    ids=["dataset", "size", "method", "version"],
)
def test_other_contents_have_a_separate_entry(cache, images, resizing, versions):
    def zeros(_path):
        return np.zeros((3, 2, 2), np.uint8)

    def ones(_path):
        return np.ones((3, 2, 2), np.uint8)

    cache.open(ImageSet("0123", ("a", "b")), SQUISH, zeros).close()
    with cache.open(images, resizing, ones, versions=versions) as cached:
        assert cached.read("a").all()


def test_a_dataset_that_was_moved_finds_its_entry(cache, images, tmp_path):
    """The fingerprint determines the order of the images, independent of their location."""
    cache.open(images, SQUISH, load).close()
    moved = tuple(str(shutil.copy(path, tmp_path)) for path in images.paths)
    calls: list[str] = []
    with cache.open(ImageSet(images.fingerprint, moved), SQUISH, partial(load, calls=calls)) as cached:
        assert_all_there(cached, ImageSet("", moved))
    assert calls == []


@pytest.mark.parametrize("damage", ["cut", "altered", "emptied", "deleted", "other"])
def test_a_damaged_shard_is_rebuilt(cache, images, damage):
    cache.open(images, SQUISH, load).close()
    path = shards(cache)[2]
    content = path.read_bytes()
    if damage == "deleted":
        path.unlink()
    else:
        altered = bytearray(content)
        altered[3000:3010] = bytes(10)
        path.write_bytes(
            {
                "cut": content[:-100],
                "altered": altered,
                "emptied": b"",
                "other": shards(cache)[-1].read_bytes(),
            }[damage]
        )
    with cache.open(images, SQUISH, load) as cached:
        assert_all_there(cached, images)
    assert path.read_bytes() == content


BUILD_ONE_SHARD = """
import sys, time
from pathlib import Path
import numpy as np
from tune_paddy.data.image_cache import entry
from tune_paddy.data.image_cache.cache import ImageCache, ImageSet, Resizing
from tune_paddy.data.images import use_pixels

decoded = []

def load(path):
    decoded.append(path)
    if len(decoded) == 10:  # in the second shard that is built
        time.sleep(600)
    return use_pixels(path, lambda pixels: np.ascontiguousarray(pixels.transpose(2, 0, 1)))

entry._MOST = 7
images = ImageSet(sys.argv[2], tuple(sys.argv[3:]))
ImageCache(Path(sys.argv[1]), 10**9).open(images, Resizing((24, 20), "squish"), load)
"""


def test_a_killed_build_is_completed_by_the_next_one(cache, images):
    """Its lock ends with the process, and its unfinished shard does not exist."""
    arguments = [str(cache.folder), images.fingerprint, *images.paths]
    with subprocess.Popen([sys.executable, "-c", BUILD_ONE_SHARD, *arguments]) as builder:
        while not shards(cache):
            assert builder.poll() is None
            time.sleep(0.01)
        builder.kill()
    assert len(shards(cache)) == 1
    calls: list[str] = []
    with cache.open(images, SQUISH, partial(load, calls=calls)) as cached:
        assert_all_there(cached, images)
    assert 0 < len(calls) < N


def test_concurrent_builds_share_the_work(cache, images):
    calls: list[str] = []

    def slowly(path):
        time.sleep(0.005)
        return load(path, calls)

    threads = [threading.Thread(target=cache.open, args=(images, SQUISH, slowly)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(calls) == sorted(images.paths)


def test_a_hanging_builder_does_not_block_others(cache, images, monkeypatch):
    """Images of its locked shard are read from their files."""
    monkeypatch.setattr(entry, "PATIENCE", 0.05)
    cache.open(images, SQUISH, load).close()
    path = shards(cache)[1]
    path.unlink()
    with FileLock(path.parent / "locks" / "00001"), cache.open(images, SQUISH, load) as cached:
        assert [cached.read(path) is None for path in images.paths].count(True) == 7
        assert not path.exists()


def test_a_shard_with_an_unreadable_image_is_not_cached(cache, images):
    def fails(path):
        if path == images.paths[9]:
            raise ImageError(path, "is gone")
        return load(path)

    with cache.open(images, SQUISH, fails) as cached:
        assert cached.read(images.paths[9]) is None
        assert cached.read(images.paths[30]) is not None


def test_least_recently_used_entries_are_removed_first_and_entries_in_use_never(tmp_path, images):
    cache = ImageCache(tmp_path / "images", int(3.3 * BYTES))
    other = [Resizing((24, 20), "pad"), Resizing((20, 24), "squish"), Resizing((20, 24), "pad")]
    used = cache.open(images, SQUISH, load)
    for number, resizing in enumerate(other[:2]):
        cache.open(images, resizing, load).close()
        os.utime(entry_of(cache, resizing) / "entry.json", (10 + number, 10 + number))
    os.utime(entry_of(cache, SQUISH) / "entry.json", (1, 1))
    cache.open(images, other[2], load).close()
    names = sorted(entry.name.split("-", 1)[1][:12] for entry in cache.folder.iterdir() if entry.is_dir())
    assert names == ["pad-20x24-" + entry_of(cache, other[2]).name[-8:-6], "squish-20x24", "squish-24x20"]
    assert_all_there(used, images)


def entry_of(cache, resizing):
    (entry,) = cache.folder.glob(f"*-{resizing.method}-{resizing.size[0]}x{resizing.size[1]}-*")
    return entry


def test_an_entry_that_is_larger_than_the_limit_is_refused_and_nothing_is_removed(tmp_path, images):
    small = Resizing((8, 8), "squish")
    cache = ImageCache(tmp_path / "images", BYTES // 2)
    cache.open(ImageSet(images.fingerprint, images.paths[:8]), small, load).close()
    before = shards(cache)
    with pytest.raises(CacheRefusedError, match=r"40 images, squish 24×20, take 0\.1 MB"):
        cache.open(images, SQUISH, load)
    assert shards(cache) == before != []


def test_a_cache_full_of_entries_in_use_refuses_another(tmp_path, images):
    cache = ImageCache(tmp_path / "images", int(1.5 * BYTES))
    with cache.open(images, SQUISH, load), pytest.raises(CacheRefusedError, match="are in use, of"):
        cache.open(images, Resizing((20, 24), "squish"), load)
    cache.open(images, Resizing((20, 24), "squish"), load).close()


def test_too_little_disk_space_is_reported_in_one_line(cache, images, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=GB + BYTES - 1))
    with pytest.raises(CacheRefusedError, match=r"images has room for 0\.1 MB") as caught:
        cache.open(images, SQUISH, load)
    assert "\n" not in str(caught.value)


def test_a_disk_that_fills_up_ends_the_build_and_releases_the_entry(cache, images, monkeypatch):
    frees = iter([50 * GB] * 5)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=next(frees, 0)))
    with pytest.raises(CacheRefusedError, match=r"has only 0\.0 MB free"):
        cache.open(images, SQUISH, load)
    monkeypatch.undo()
    assert list(cache.folder.glob("*/users/*")) == []


def test_a_failed_write_ends_the_build_and_leaves_no_partial_file(cache, images):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(CacheRefusedError) as caught:
            cache.open(images, SQUISH, load)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert shards(cache) == []
    assert list(cache.folder.glob("*/users/*")) == []
    cache.open(images, SQUISH, load).close()
    assert shards(cache) != []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, images):
    (tmp_path / "images").write_text("a file")
    with pytest.raises(CacheRefusedError, match="cannot be used"):
        ImageCache(tmp_path / "images", 10 * BYTES).open(images, SQUISH, load)


@pytest.mark.parametrize(
    ("limit", "memory"), [(str(10 * GB), 10), (str(99 * GB), 24), ("max\n", 24), (None, 24)]
)
def test_the_memory_limit_of_a_container_applies(tmp_path, monkeypatch, limit, memory):
    monkeypatch.setattr(cache_module.psutil, "virtual_memory", lambda: SimpleNamespace(total=24 * GB))
    monkeypatch.setattr(cache_module, "_CONTAINER", tmp_path / "memory.max")
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    assert ImageCache(tmp_path).allowed == memory * GB // 2


def test_by_default_half_of_the_memory_may_be_used(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_memory", lambda: 24 * GB)
    assert ImageCache(tmp_path).allowed == 12 * GB
    paddy = ImageSet("0", ("x",) * 13_876)
    assert cache_module.estimate_bytes(paddy, Resizing((480, 480), "squish")) == pytest.approx(
        9.6 * GB, rel=0.01
    )
    ImageCache(tmp_path).check(paddy, Resizing((480, 480), "squish"))
    with pytest.raises(CacheRefusedError, match=r"take 12\.8 GB, and half of the memory is 12\.0 GB"):
        ImageCache(tmp_path).check(paddy, Resizing((640, 480), "squish"))


@pytest.mark.parametrize(("method", "expected"), [("squish", 12 * 12), ("crop", 14 * 12), ("pad", 12 * 10)])
def test_sizes_are_estimated_from_the_shapes_of_images(images, method, expected):
    """The photographs are 24 high and 20 wide."""
    resizing = Resizing((12, 12), method)
    assert cache_module.estimate_bytes(images, resizing) == N * 3 * expected


def test_progress_shows_what_is_being_built(cache, images):
    seen = []

    def watched(path):
        seen.append(cache.progress(images.fingerprint))
        return load(path)

    cache.open(images, SQUISH, watched).close()
    counts = [progress.done for (progress,) in seen]
    assert counts == sorted(counts)
    assert (min(counts), max(counts)) == (0, 35)
    assert {(progress.resizing, progress.total) for (progress,) in seen} == {("squish 24×20", N)}
    assert cache.progress(images.fingerprint) == []
    assert cache.progress("another") == []


def test_an_abandoned_build_is_not_reported_as_progress(cache, images):
    cache.open(images, SQUISH, load).close()
    entry = entry_of(cache, SQUISH)
    shards(cache)[0].unlink()
    for path in (*shards(cache), entry / "entry.json"):
        os.utime(path, (1, 1))
    assert cache.progress(images.fingerprint) == []
    assert json.loads((entry / "entry.json").read_text())["total"] == N


def test_an_abandoned_build_is_none_either_after_the_clock_was_set_back_by_a_day(cache, images):
    cache.open(images, SQUISH, load).close()
    shards(cache)[0].unlink()
    assert len(cache.progress(images.fingerprint)) == 1, "it was built just now"
    assert cache.progress(images.fingerprint, clock=lambda: time.time() - 86400) == []


def test_files_of_a_killed_writer_are_removed(cache, images):
    cache.open(images, SQUISH, load).close()
    path: Path = shards(cache)[0]
    path.unlink()
    left_over = path.with_name(f".{path.name}.dead.part")
    left_over.write_bytes(b"half a shard")
    cache.open(images, SQUISH, load).close()
    assert not left_over.exists()
    assert path.exists()
