"""The embedding cache: what is written is found again, or computed again; never anything else."""

import threading
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.training.frozen import store
from tune_paddy.training.frozen.store import Digests, EmbeddingCache, digests_of, machine_embeddings

N, WIDTH = 6, 4
VALUES = np.arange(N * WIDTH, dtype=np.float32).reshape(N, WIDTH)
SEGMENT_BYTES = N * (32 + 4 * WIDTH)


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "embeddings", 10**6)


@pytest.fixture
def digests() -> Digests:
    return np.arange(N * 32, dtype=np.uint8).reshape(N, 32)


def fill(cache: EmbeddingCache, key: str, digests: Digests) -> bool:
    with cache.opened({"arch": key}) as entry:
        assert entry is not None
        return entry.write(digests, VALUES)


def known(cache: EmbeddingCache, key: str, digests: Digests) -> list[list[float]]:
    with cache.opened({"arch": key}) as entry:
        assert entry is not None
        found = entry.read(digests)
    return [found[row.tobytes()].tolist() for row in digests if row.tobytes() in found]


def segments(cache: EmbeddingCache) -> list[Path]:
    return sorted(cache.folder.glob("*/*.safetensors"))


def test_features_are_found_by_image_under_their_own_key_alone(
    cache: EmbeddingCache, digests: Digests
) -> None:
    assert fill(cache, "a", digests)
    assert known(cache, "a", digests[[4, 1]]) == VALUES[[4, 1]].tolist()
    assert known(cache, "a", digests[:1] + 100) == []
    assert known(cache, "b", digests) == []


@pytest.mark.parametrize("damage", ["cut", "altered", "emptied", "other"])
def test_a_damaged_segment_counts_as_missing_and_is_removed(
    cache: EmbeddingCache, digests: Digests, damage: str
) -> None:
    fill(cache, "a", digests)
    (path,) = segments(cache)
    content = path.read_bytes()
    altered = bytearray(content)
    altered[-5] ^= 1
    damaged = {"cut": content[:-8], "altered": altered, "emptied": b"", "other": b"not a segment" * 9}
    path.write_bytes(damaged[damage])
    assert known(cache, "a", digests) == []
    assert segments(cache) == []


def test_the_least_recently_used_entry_makes_room(cache: EmbeddingCache, digests: Digests) -> None:
    small = EmbeddingCache(cache.folder, 5 * SEGMENT_BYTES)
    for key in "ab":
        fill(small, key, digests)
    size = sum(path.stat().st_size for path in segments(small))
    tight = EmbeddingCache(cache.folder, size + SEGMENT_BYTES // 2)
    known(tight, "a", digests)
    assert fill(tight, "c", digests)
    assert [len(known(tight, key, digests)) for key in "abc"] == [N, 0, N]


def test_an_entry_in_use_is_not_removed_and_what_has_no_space_is_not_written(
    cache: EmbeddingCache, digests: Digests
) -> None:
    fill(cache, "a", digests)
    tight = EmbeddingCache(cache.folder, segments(cache)[0].stat().st_size + 10)
    with tight.opened({"arch": "a"}):
        assert not fill(tight, "b", digests)
    assert len(known(tight, "a", digests)) == N


def test_a_second_process_waits_for_the_entry_and_shows_that_it_is_alive(
    cache: EmbeddingCache, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_POLL", 0.01)
    fill(cache, "a", digests)
    (path,) = segments(cache)
    held, waited = FileLock(cache.folder / ".locks" / path.parent.name, thread_local=False), threading.Event()

    def alive() -> None:
        waited.set()
        held.release()

    held.acquire()
    with cache.opened({"arch": "a"}, alive) as entry:
        assert waited.is_set()
        assert entry is not None


def test_what_a_killed_process_left_unfinished_is_removed(cache: EmbeddingCache, digests: Digests) -> None:
    fill(cache, "a", digests)
    left_over = segments(cache)[0].with_name(".segment.4711.partial")
    left_over.write_bytes(b"half")
    assert len(known(cache, "a", digests)) == N
    assert not left_over.exists()


def test_what_an_interrupted_removal_left_is_removed(
    cache: EmbeddingCache, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(cache, "a", digests)
    tight = EmbeddingCache(cache.folder, segments(cache)[0].stat().st_size + 10)
    with monkeypatch.context() as patch:
        patch.setattr(store.shutil, "rmtree", lambda *_, **__: None)  # as if it were killed here
        fill(tight, "b", digests)
    before = set(cache.folder.iterdir())
    known(cache, "b", digests)
    assert len(before - set(cache.folder.iterdir())) == 1
    assert len(known(cache, "b", digests)) == N


def test_a_folder_that_cannot_be_used_is_no_entry(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with EmbeddingCache(tmp_path / "file", 10**6).opened({}) as entry:
        assert entry is None


def test_a_full_disk_is_no_error(
    cache: EmbeddingCache, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(store, "write_safetensors", full)
    assert not fill(cache, "a", digests)


def test_an_error_of_the_caller_passes_through_an_open_entry(cache: EmbeddingCache) -> None:
    with pytest.raises(TunePaddyError, match=r"^mine$"), cache.opened({}):
        raise TunePaddyError("mine")


def test_an_image_is_its_content_wherever_it_lies(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"the same")
    first, second = digests_of([str(tmp_path / name) for name in "ab"], {})
    assert np.array_equal(first, second)
    known = digests_of(["nowhere"], {"nowhere": first.tobytes().hex()})
    assert np.array_equal(known[0], first)


def test_a_limit_of_0_means_no_cache() -> None:
    assert machine_embeddings(0) is None
    cache = machine_embeddings(2.0)
    assert cache is not None
    assert cache.limit == 2 * 10**9
