from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_paddy.data.image_cache.shards import DamagedShardError, Shard, checksum, write_shard

SHAPES = [(1, 1), (5, 7), (40, 40), (33, 64)]


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (3, *shape), np.uint8) for shape in SHAPES]


@pytest.fixture
def path(tmp_path, images) -> Path:
    write_shard(tmp_path / "0.images", images)
    return tmp_path / "0.images"


def damaged(path):
    """Return whether any image of a shard is refused."""
    try:
        shard = Shard(path)
        for index in range(len(shard)):
            shard.read(index)
    except DamagedShardError:
        return True
    return False


def test_images_of_any_shape_survive_a_round_trip(path, images):
    shard = Shard(path)
    assert len(shard) == len(images)
    for index, image in enumerate(images):
        assert np.array_equal(shard.read(index), image)


def test_an_image_is_read_only_and_outlives_the_file(path, images):
    image = Shard(path).read(2)
    path.unlink()
    with pytest.raises(ValueError, match="read-only"):
        image[:] = 0
    assert np.array_equal(image, images[2])


def test_nothing_else_stays_in_the_folder(path):
    assert list(path.parent.iterdir()) == [path]


def test_a_truncated_shard_is_damaged(path):
    content = path.read_bytes()
    for length in [*range(0, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:length])
        assert damaged(path), length


def test_a_shard_with_trailing_bytes_is_damaged(path):
    path.write_bytes(path.read_bytes() + b"\0" * 8)
    assert damaged(path)


def test_any_altered_byte_of_an_image_or_of_the_table_is_detected(path):
    """Only the padding between images, up to seven zeros, is not checked."""
    content = path.read_bytes()
    pixels = sum(3 * height * width for height, width in SHAPES)
    padding = sum(-3 * height * width % 8 for height, width in SHAPES)
    header = len(content) - pixels - padding
    rng = np.random.default_rng(0)
    for place in [*range(header), *rng.integers(header, len(content), 60).tolist()]:
        altered = bytearray(content)
        altered[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(altered)
        assert damaged(path) or content[place] == 0, place


def test_another_shard_of_the_same_shape_in_its_place_is_detected(path, images):
    write_shard(path.with_name("1.images"), images)
    path.with_name("1.images").replace(path)
    assert damaged(path)


def test_a_page_of_zeros_is_detected(path):
    """A power failure may leave one in a file that was not flushed."""
    content = bytearray(path.read_bytes())
    content[4096:8192] = bytes(4096)
    path.write_bytes(content)
    assert damaged(path)


def test_a_writer_that_fails_leaves_nothing(tmp_path, images):
    (tmp_path / "0.images").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_shard(tmp_path / "0.images", images)
    assert [path.name for path in tmp_path.iterdir()] == ["0.images"]


@settings(max_examples=50)
@given(st.integers(1, 20_000), st.integers(0, 2**32), st.integers(1, 255))
def test_the_checksum_changes_with_any_byte_and_with_swapped_pages(n, seed, change):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, n, np.uint8)
    altered = values.copy()
    altered[rng.integers(n)] ^= change
    assert checksum(altered) != checksum(values)
    if n > 8192:
        swapped = np.concatenate([values[4096:8192], values[:4096], values[8192:]])
        assert checksum(swapped) != checksum(values)
