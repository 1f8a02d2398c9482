import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.data.member_data import Parts
from tune_paddy.training.batches.loaders import Batch, ImageReader, TrainLoader, batches_ahead, subsample_rows

SIZE = (32, 32)


def decoding_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("decode")]


def epoch(config: MemberConfig, parts: Parts, *, number: int, threads: int = 1) -> list[Batch]:
    reader = ImageReader(parts.train.paths, config.item_size, config.resize, threads)
    train = TrainLoader(reader, parts.train.labels, config)
    train.epoch = number
    return list(train)


def same(first: list[Batch], second: list[Batch]) -> bool:
    pairs = list(zip(first, second, strict=True))
    return all(
        torch.equal(a.images, b.images)
        and torch.equal(a.labels, b.labels)
        and np.array_equal(a.draws.crop_x, b.draws.crop_x)
        and np.array_equal(a.mix.partner if a.mix else 0, b.mix.partner if b.mix else 0)
        for a, b in pairs
    )


def test_an_epoch_depends_on_seed_and_number_not_on_threads(
    parts: Parts, make_config: Callable[..., MemberConfig]
) -> None:
    """With random crops and mixup, on one thread and on four."""
    config = make_config(size=24, resize_size=(24, 40), resize="crop", mixup=0.3)
    reference = epoch(config, parts, number=2)
    assert same(reference, epoch(config, parts, number=2, threads=4))
    assert not same(reference, epoch(config, parts, number=3))
    other = make_config(size=24, resize_size=(24, 40), resize="crop", mixup=0.3, seed=1)
    assert not same(reference, epoch(other, parts, number=2))


def test_an_epoch_does_not_depend_on_earlier_epochs(
    parts: Parts, reader: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    config = make_config()
    train = TrainLoader(reader, parts.train.labels, config)
    for train.epoch in range(3):
        last = list(train)
    assert same(last, epoch(config, parts, number=2))


def test_strong_augmentation_leaves_all_other_random_choices(
    parts: Parts, make_config: Callable[..., MemberConfig]
) -> None:
    """And its own do not depend on threads."""
    plain = epoch(make_config(cutmix=1), parts, number=1)
    strong = make_config(cutmix=1, randaugment=9, erasing=0.5)
    alone, threaded = (epoch(strong, parts, number=1, threads=threads) for threads in (1, 4))
    assert same(plain, alone)
    for batch, expected, other in zip(alone, plain, threaded, strict=True):
        assert batch.operations is not None
        assert batch.boxes is not None
        for field in fields(batch.draws):
            name = field.name
            assert np.array_equal(getattr(batch.draws, name), getattr(expected.draws, name)), name
        assert np.array_equal(batch.operations.amount, other.operations.amount)
        assert np.array_equal(batch.boxes.edges, other.boxes.edges)


@pytest.mark.parametrize("batch_size", [1, 7, 33, 99, 100, 101, 1000])
def test_an_epoch_splits_all_images_into_nearly_equal_batches(
    batch_size: int, make_config: Callable[..., MemberConfig]
) -> None:
    n = 100
    numbers = np.arange(n)
    train = TrainLoader(NumberReader(n), numbers, make_config(batch_size=batch_size))
    batches = list(train)
    sizes = [len(batch.labels) for batch in batches]
    assert sorted(torch.cat([batch.labels for batch in batches]).tolist()) == numbers.tolist()
    assert len(train) == len(batches) == -(-n // batch_size)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size


class NumberReader(ImageReader):
    """Reader of one-pixel images whose value is their row."""

    def __init__(self, n: int, threads: int = 2) -> None:
        super().__init__([str(row) for row in range(n)], (1, 1), "squish", threads)

    def read(self, row: int, offset: tuple[float, float] = (0.5, 0.5)) -> NDArray[np.uint8]:
        assert 0 <= min(offset) <= max(offset) <= 1
        return np.full((3, 1, 1), row, np.uint8)


def test_every_image_comes_with_its_own_label(make_config: Callable[..., MemberConfig]) -> None:
    labels = (np.arange(100) * 7) % 100
    for batch in TrainLoader(NumberReader(100), labels, make_config()):
        assert (labels[batch.images[:, 0, 0, 0].numpy()] == batch.labels.numpy()).all()
        assert len(batch.draws) == len(batch.labels)


def test_every_epoch_has_its_own_order(make_config: Callable[..., MemberConfig]) -> None:
    train = TrainLoader(NumberReader(50), np.arange(50), make_config())
    orders = []
    for train.epoch in range(4):
        orders.append(tuple(torch.cat([batch.labels for batch in train]).tolist()))
    assert len(set(orders)) == 4


@pytest.mark.parametrize("batch_size", [1, 4, 50])
def test_reading_in_order_yields_each_row_once_in_order(batch_size: int) -> None:
    seen: list[int] = []
    for rows, images in NumberReader(10).in_order(batch_size):
        assert images.dtype == torch.uint8
        assert rows == slice(len(seen), len(seen) + len(images))
        seen += images[:, 0, 0, 0].tolist()
    assert seen == list(range(10))


def test_reading_no_images_yields_nothing() -> None:
    assert list(NumberReader(0).in_order(4)) == []


def test_batches_are_decoded_ahead(digits: tuple[tuple[str, ...], object]) -> None:
    """While the first batch is in use, the next ones are read, but not the rest of a long epoch."""
    started: list[int] = []
    third = threading.Event()

    class Watched(ImageReader):
        def read(self, row: int, offset: tuple[float, float] = (0.5, 0.5)) -> NDArray[np.uint8]:
            started.append(row)
            if row == 2:
                third.set()
            return super().read(row, offset)

    with closing(Watched(digits[0][:20], SIZE, "squish", 1).in_order(1)) as batches:
        next(batches)
        assert third.wait(timeout=300)
    assert max(started) < 10


def test_every_thread_has_an_image_to_read_even_if_a_batch_is_a_single_image() -> None:
    threads = 7
    all_reading = threading.Barrier(threads)

    class Together(NumberReader):
        def read(self, row: int, offset: tuple[float, float] = (0.5, 0.5)) -> NDArray[np.uint8]:
            all_reading.wait(timeout=300)  # raises an error unless all threads arrive
            return super().read(row, offset)

    assert len(list(Together(threads, threads).in_order(1))) == threads


@pytest.mark.parametrize(
    ("threads", "batch_mib", "batches"),
    [(1, 1, 3), (2, 1, 3), (8, 1, 9), (16, 64, 8), (16, 500, 3), (64, 0, 65)],
)
def test_the_number_of_batches_ahead_follows_the_threads_up_to_half_a_gibibyte(
    threads: int, batch_mib: int, batches: int
) -> None:
    assert batches_ahead(threads, batch_mib * 2**20) == batches


@pytest.fixture
def one_broken(digits: tuple[tuple[str, ...], object], tmp_path: Path) -> ImageReader:
    """Reader of twenty images, of which the twelfth is truncated."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(Path(digits[0][11]).read_bytes()[:60])
    return ImageReader([*digits[0][:11], str(broken), *digits[0][12:20]], SIZE, "squish", 3)


def test_a_broken_file_raises_its_error_in_the_caller_and_leaves_no_threads(one_broken: ImageReader) -> None:
    batches = one_broken.in_order(4)
    assert len(next(batches)[1]) == len(next(batches)[1]) == 4
    with pytest.raises(InputError, match=r"broken\.png"):
        next(batches)
    assert decoding_threads() == []


def test_a_loader_abandoned_early_leaves_no_threads(
    parts: Parts, reader: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    batches: Iterator[Batch] = iter(TrainLoader(reader, parts.train.labels, make_config(batch_size=5)))
    next(batches)
    assert decoding_threads() != []
    del batches
    assert decoding_threads() == []


def test_images_are_read_as_rgb_at_the_readers_size(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (50, 40), (200, 10, 0)).save(path)
    (images,) = [images for _, images in ImageReader([str(path)], (20, 30), "squish", 1).in_order(1)]
    assert images.shape == (1, 3, 20, 30)
    assert images[0, :, 7, 9].tolist() == [200, 10, 0]
    assert images.is_contiguous()


def test_a_member_gets_its_share_of_the_images_each_once_in_order(
    make_config: Callable[..., MemberConfig],
) -> None:
    rows = subsample_rows(np.zeros(1001, np.int64), make_config(subsample=0.8))
    assert len(rows) == 801
    assert len(set(rows.tolist())) == 801
    assert (np.diff(rows) > 0).all()
    assert rows.min() >= 0
    assert rows.max() <= 1000


def test_members_with_other_seeds_get_other_images(make_config: Callable[..., MemberConfig]) -> None:
    """Two shares of 0.8 have about 0.64 of the images in common."""
    shares = [
        set(subsample_rows(np.zeros(1000, np.int64), make_config(seed=seed)).tolist()) for seed in (0, 1)
    ]
    assert 600 < len(shares[0] & shares[1]) < 680
    assert shares[0] == set(subsample_rows(np.zeros(1000, np.int64), make_config(seed=0)).tolist())


def test_a_share_of_one_is_every_image_and_the_smallest_is_one_image(
    make_config: Callable[..., MemberConfig],
) -> None:
    assert subsample_rows(np.zeros(10, np.int64), make_config(subsample=1)).tolist() == list(range(10))
    assert len(subsample_rows(np.zeros(10, np.int64), make_config(subsample=0.001))) == 1


def test_every_class_is_in_the_share_of_every_member(make_config: Callable[..., MemberConfig]) -> None:
    """A class that the random share misses adds one image."""
    labels = np.repeat([0, 1, 2], [50, 2, 1])
    for seed in range(20):
        rows = subsample_rows(labels, make_config(subsample=0.5, seed=seed))
        assert set(labels[rows]) == {0, 1, 2}
        assert 26 <= len(rows) <= 28


def test_a_subsample_takes_whole_groups_of_about_its_share(
    make_config: Callable[..., MemberConfig],
) -> None:
    groups = np.repeat(np.arange(100), 7)
    labels = np.arange(700) % 3
    for seed in range(5):
        rows = subsample_rows(labels, make_config(subsample=0.6, seed=seed), groups)
        assert set(np.bincount(groups[rows], minlength=100)) == {0, 7}
        assert abs(len(rows) - 420) <= 4


def test_a_subsample_of_groups_misses_no_class(make_config: Callable[..., MemberConfig]) -> None:
    groups = np.repeat(np.arange(20), 5)
    labels = np.where(groups == 3, 1, 0)
    for seed in range(10):
        assert 1 in labels[subsample_rows(labels, make_config(subsample=0.1, seed=seed), groups)]


def test_groups_of_several_labels_are_taken_whole_with_every_label() -> None:
    """A label that the share would miss adds one of its groups."""
    labels = np.zeros((40, 3), np.int64)
    labels[:, 0], labels[::2, 1], labels[39, 2] = 1, 1, 1
    groups = np.arange(40) // 4
    for seed in range(5):
        rows = subsample_rows(labels, make_member(seed), groups)
        assert labels[rows].any(axis=0).all()
        assert set(np.bincount(groups[rows], minlength=10).tolist()) <= {0, 4}


def make_member(seed: int) -> MemberConfig:
    return MemberConfig(arch="test_vit", subsample=0.3, seed=seed)
