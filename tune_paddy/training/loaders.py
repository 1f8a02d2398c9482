"""Batches of images: decoded by threads ahead of time, every random choice drawn beforehand.

Threads, not processes: Pillow decodes and resizes without Python's lock, a forked child of a Ray worker
would inherit its sockets, and shared memory is scarce in containers.
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
from tune_paddy.data.images import load_rgb, resize
from tune_paddy.training.augment import Draws, draw
from tune_paddy.training.mixing import Mix, draw_mix

CENTRE = (0.5, 0.5)
_AHEAD = 3
"""Batches decoded before they are asked for: enough to hide one slow file, little memory."""

_ORDER, _SUBSAMPLE = 1, 2  # purposes of random streams, so that none repeats another


@dataclass(frozen=True)
class Batch:
    """One optimizer step's images with every random choice made.

    Attributes:
        images: uint8 [n, 3, H, W] on the CPU.
        labels: int64 [n] on the CPU.
        draws: Augmentation of the n images.
        mix: mixup or CutMix, or None.
    """

    images: Tensor
    labels: Tensor
    draws: Draws
    mix: Mix | None


class ImageReader:
    """Reads images at a member's item size.

    Args:
        paths: Image files.
        size: (height, width) in px.
        method: squish, crop or pad.
        threads: How many images are decoded at once.
    """

    def __init__(self, paths: Sequence[str], size: tuple[int, int], method: str, threads: int) -> None:
        self.paths = list(paths)
        self._size = size
        self._method = method
        self._threads = max(1, threads)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, row: int, offset: tuple[float, float] = CENTRE) -> NDArray[np.uint8]:
        """Decode one image to uint8 [H, W, 3]; `offset` (y, x), 0 to 1, places a crop."""
        image = resize(load_rgb(self.paths[row]), self._size, self._method, offset=offset)
        return np.asarray(image)

    def batches(self, jobs: Sequence[Sequence[tuple[int, tuple[float, float]]]]) -> Iterator[Tensor]:
        """Yield uint8 [n, 3, H, W] for each list of (row, crop offset), in order, decoded ahead."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="decode") as pool:
            waiting: deque[list[Future[NDArray[np.uint8]]]] = deque()
            todo = iter(jobs)
            try:
                for job in todo:
                    waiting.append([pool.submit(self.read, row, offset) for row, offset in job])
                    if len(waiting) >= _AHEAD:
                        yield _stack(waiting.popleft())
                while waiting:
                    yield _stack(waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def in_order(self, batch_size: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield all images once, centred: the rows as a slice, and uint8 [n, 3, H, W]."""
        starts = range(0, len(self), batch_size)
        rows = [slice(start, min(start + batch_size, len(self))) for start in starts]
        jobs = [[(row, CENTRE) for row in range(part.start, part.stop)] for part in rows]
        yield from zip(rows, self.batches(jobs), strict=True)


def _stack(images: Sequence[Future[NDArray[np.uint8]]]) -> Tensor:
    stacked = np.stack([image.result() for image in images])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


class TrainLoader:
    """The training batches of one epoch; what it yields depends on (seed, epoch) alone.

    An epoch's images are dealt into ceil(n / batch_size) batches whose sizes differ by at most one: no
    image is dropped, and no step rests on a handful of left-over images.

    Args:
        reader: All images that this member trains on.
        labels: int64 [images].
        config: The member.
    """

    def __init__(self, reader: ImageReader, labels: NDArray[np.int64], config: MemberConfig) -> None:
        self._reader = reader
        self._labels = labels
        self._config = config
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self._reader) / self._config.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        n = len(self._reader)
        rng = np.random.default_rng([self._config.seed, _ORDER, self.epoch])
        order = rng.permutation(n)
        offsets = rng.random((n, 2))
        draws = draw(self._config, n, rng)
        parts = np.array_split(np.arange(n), len(self))
        mixes = [draw_mix(self._config, len(part), rng) for part in parts]
        jobs = [[(int(order[at]), (offsets[at, 0], offsets[at, 1])) for at in part] for part in parts]
        for part, mix, images in zip(parts, mixes, self._reader.batches(jobs), strict=True):
            labels = torch.from_numpy(self._labels[order[part]])
            yield Batch(images, labels, draws[part], mix)


def subsample_rows(n: int, config: MemberConfig) -> NDArray[np.int64]:
    """Choose the share of `n` training images that this member sees, in increasing order."""
    keep = max(1, round(config.subsample * n))
    rng = np.random.default_rng([config.seed, _SUBSAMPLE])
    return np.sort(rng.permutation(n)[:keep])
