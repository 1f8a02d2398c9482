"""Batches of images: threads decode them ahead of time; all random choices are drawn in advance.

Threads suit better than processes: the decoders release Python's global lock, a forked child of a Ray
worker would inherit its sockets, and shared memory is scarce in containers.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.image_cache.entry import CachedImages
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.data.resizing import CENTRE, Pixels, Size, place
from tune_paddy.training.batches.augment import Draws, draw
from tune_paddy.training.batches.balance import balanced_rows
from tune_paddy.training.batches.calm import config_of_epoch
from tune_paddy.training.batches.decoding import load_scaled
from tune_paddy.training.batches.erasing import Boxes, draw_boxes
from tune_paddy.training.batches.mixing import Mix, draw_mix
from tune_paddy.training.batches.operations import Operations, draw_operations

_LEAST_AHEAD = 3
"""Minimum number of batches to decode ahead, whatever the threads: enough to hide one slow file."""

_AHEAD_BYTES = 512 * 2**20
"""Memory limit of one trial's batches ahead beyond this minimum, in bytes."""

_ORDER, _SUBSAMPLE = 1, 2  # identify random streams, so that none repeats another
_OPERATIONS, _BOXES, _SAMPLER = 11, 12, 13

_ALONE = np.empty(0, np.int64)
"""Groups of images that are all alone."""


@dataclass(frozen=True)
class Batch:
    """Images of one optimizer step with all their random choices.

    Attributes:
        images: uint8 [n, 3, H, W] on the CPU.
        labels: Labels as the dataset has them, int64 [n] or [n, classes] on the CPU, or soft ones: shares of
            the classes, float32 [n, classes].
        draws: Augmentation of the n images.
        mix: Parameters of mixup or CutMix, or None.
        operations: Operations of RandAugment or TrivialAugment of the n images, or None.
        boxes: Boxes that are erased, or None.
    """

    images: Tensor
    labels: Tensor
    draws: Draws
    mix: Mix | None
    operations: Operations | None = None
    boxes: Boxes | None = None


Job = tuple[int, tuple[float, float]]
"""An image to read: its row, and the position (y, x) of its crop, each 0 to 1."""


class ImageReader:
    """Reads images at a member's item size.

    Args:
        paths: Paths of the image files.
        size: (height, width) in px.
        method: Resizing method: squish, crop or pad.
        threads: Number of images to decode at once.
        cached: Image cache entries at this size and method, or None.
        pixel_range: Range of deep images; None: each by itself.
    """

    def __init__(
        self,
        paths: Sequence[str],
        size: Size,
        method: str,
        threads: int,
        cached: CachedImages | None = None,
        *,
        pixel_range: PixelRange | None = None,
    ) -> None:
        self.paths = list(paths)
        self._pixel_range = pixel_range
        self._cached = cached
        self._size = size
        self._method = method
        self._threads = max(1, threads)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, row: int, offset: tuple[float, float] = CENTRE) -> Pixels:
        """Read one image, uint8 [3, H, W]; `offset` (y, x), 0 to 1, places a crop."""
        path = self.paths[row]
        scaled = self._cached.read(path) if self._cached else None
        if scaled is None:
            scaled = load_scaled(path, self._size, self._method, self._pixel_range)
        return place(scaled, self._size, offset)

    def batches(self, jobs: Sequence[Sequence[Job]]) -> Iterator[Tensor]:
        """Yield uint8 [n, 3, H, W] for each list of images, in order; decode ahead."""
        ahead = batches_ahead(self._threads, 3 * math.prod(self._size) * max(map(len, jobs), default=0))
        with ThreadPoolExecutor(self._threads, thread_name_prefix="decode") as pool:
            waiting: deque[tuple[Tensor, list[Future[None]]]] = deque()
            try:
                for job in jobs:
                    waiting.append(self._submit(pool, job))
                    if len(waiting) >= ahead:
                        yield _finished(*waiting.popleft())
                while waiting:
                    yield _finished(*waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, job: Sequence[Job]) -> tuple[Tensor, list[Future[None]]]:
        """Let each thread read a part of a batch directly into the batch's memory."""
        batch = torch.empty(len(job), 3, *self._size, dtype=torch.uint8)
        parts = range(min(self._threads, len(job)))
        futures = [pool.submit(self._fill, batch[at :: len(parts)], job[at :: len(parts)]) for at in parts]
        return batch, futures

    def _fill(self, images: Tensor, job: Sequence[Job]) -> None:
        for image, (row, offset) in zip(images.numpy(), job, strict=True):
            image[:] = self.read(row, offset)

    def in_order(self, batch_size: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield all images once with centred crops: a slice of rows, and uint8 [n, 3, H, W]."""
        starts = range(0, len(self), batch_size)
        rows = [slice(start, min(start + batch_size, len(self))) for start in starts]
        jobs = [[(row, CENTRE) for row in range(part.start, part.stop)] for part in rows]
        yield from zip(rows, self.batches(jobs), strict=True)


def batches_ahead(threads: int, batch_bytes: int) -> int:
    """Return the number of batches to decode ahead.

    This is one per thread plus the next one to be used. All threads then have work even if a batch is a
    single image. With more threads, a batch takes less time and more batches are ready.

    Args:
        threads: Number of decoding threads.
        batch_bytes: Size of the largest batch, in bytes.

    >>> batches_ahead(8, 64 * 3 * 480 * 480), batches_ahead(1, 64 * 3 * 480 * 480)
    (9, 3)
    """
    return max(_LEAST_AHEAD, min(threads + 1, _AHEAD_BYTES // max(1, batch_bytes)))


def _finished(batch: Tensor, futures: Sequence[Future[None]]) -> Tensor:
    for future in futures:
        future.result()
    return batch


class TrainLoader:
    """The training batches of one epoch, determined by (seed, epoch) alone.

    An epoch's images are split into ceil(n / batch_size) batches whose sizes differ by at most one: no
    image is dropped, and no step has only a few remaining images.

    Args:
        reader: Reader of all images that this member trains on.
        labels: Labels of the images, as the task encodes them.
        config: Configuration of the member.
        targets: Shares of the classes to train on instead, float32 [images, classes]; None: the labels.

    Attributes:
        epoch: Number of the epoch, from 0.
    """

    def __init__(
        self,
        reader: ImageReader,
        labels: NDArray[np.int64],
        config: MemberConfig,
        targets: NDArray[np.float32] | None = None,
    ) -> None:
        self._reader = reader
        self._labels = labels
        self._targets = labels if targets is None else targets
        self._config = config
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self._reader) / self._config.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        n, config = len(self._reader), config_of_epoch(self._config, self.epoch)
        rng = self._stream(_ORDER)
        order = rng.permutation(n)
        if config.sampler == "balanced":
            order = balanced_rows(self._labels, self._stream(_SAMPLER))
        offsets = rng.random((n, 2))
        draws = draw(config, n, rng)
        operations = draw_operations(config, n, self._stream(_OPERATIONS))
        boxes = draw_boxes(config, n, self._stream(_BOXES))
        parts = np.array_split(np.arange(n), len(self))
        mixes = [draw_mix(config, len(part), rng) for part in parts]
        jobs = [[(int(order[at]), (offsets[at, 0], offsets[at, 1])) for at in part] for part in parts]
        for part, mix, images in zip(parts, mixes, self._reader.batches(jobs), strict=True):
            yield Batch(
                images,
                torch.from_numpy(self._targets[order[part]]),
                draws[part],
                mix,
                operations=None if operations is None else operations[part],
                boxes=None if boxes is None else boxes[part],
            )

    def _stream(self, purpose: int) -> np.random.Generator:
        """Return a random generator that the seed, the purpose and the epoch determine."""
        return np.random.default_rng([self._config.seed, purpose, self.epoch])


def subsample_rows(
    labels: NDArray[np.int64], config: MemberConfig, groups: NDArray[np.int64] = _ALONE
) -> NDArray[np.int64]:
    """Choose the member's random share of the training images; return their rows in increasing order.

    Groups are taken whole, so the share is met by groups in random order, to half a group. A class that the
    share would miss adds one image: no member can predict a class that it has never seen.

    Args:
        labels: Labels of the training images, as the task encodes them.
        config: Configuration of the member.
        groups: int64 [images], equal for images that are taken together; empty: every image is alone.
    """
    keep = max(1, round(config.subsample * len(labels)))
    rng = np.random.default_rng([config.seed, _SUBSAMPLE])
    if len(groups):
        return _whole_groups(labels, groups, keep, rng)
    order = rng.permutation(len(labels))
    firsts = Task.of_labels(labels).first_rows(labels[order])
    return np.sort(order[np.union1d(np.arange(keep), firsts)])


def _whole_groups(
    labels: NDArray[np.int64], groups: NDArray[np.int64], keep: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose random groups with about `keep` images; a class that they miss adds one of its groups."""
    names, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(names))
    totals = np.cumsum(sizes[order])
    taken = set(names[order[: int(np.argmin(np.abs(totals - keep))) + 1]].tolist())
    for members in Task.of_labels(labels).memberships(labels):
        of_class = np.unique(groups[members])
        if not taken & set(of_class.tolist()):
            taken.add(int(rng.choice(of_class)))
    return np.flatnonzero(np.isin(groups, list(taken)))
