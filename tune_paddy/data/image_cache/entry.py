"""One entry of the image cache: built by whoever needs it, then read by all.

An entry is cut into shards, each with a lock of its own. A process builds the shards that lack and passes
over those that another one is at: trials that start together share the work, and a process that is killed
takes no more than one unfinished shard with it.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.image_cache.shards import SUFFIX, DamagedShardError, Shard, write_shard
from tune_paddy.data.images import ImageError
from tune_paddy.data.resizing import Pixels, Size

PATIENCE = 120.0
"""Seconds to wait for what another process is at, before images are read from their files instead."""

_LOCKS = "locks"
_SHARD_BYTES = 2**26
_FEWEST, _MOST = 16, 512  # images of a shard


def shard_length(size: Size) -> int:
    """How many images a shard has: about 64 MiB of them."""
    return min(max(_SHARD_BYTES // (3 * size[0] * size[1]), _FEWEST), _MOST)


class CachedImages:
    """Images of an entry.

    Args:
        entry: Its folder, which is there.
        paths: Files of all images, in the order of the entry.
        load: Decodes a file and does the first step of resizing.
        length: Images of a shard.
        pin: A lock that keeps the entry from being removed while it is held.
        require: Raises an error where there is no room for so many bytes more.
    """

    def __init__(
        self,
        entry: Path,
        paths: Sequence[str],
        load: Callable[[str], Pixels],
        *,
        length: int,
        pin: FileLock,
        require: Callable[[int], None],
    ) -> None:
        self._entry, self._paths, self._load = entry, paths, load
        self._length, self._pin, self._require = length, pin, require
        self._rows = {path: row for row, path in enumerate(paths)}
        self._shards: list[Shard | None] = [None] * -(-len(paths) // length)
        self._mending = Lock()

    def build(self, threads: int) -> None:
        """Map all shards into memory, building those that lack.

        Args:
            threads: How many images to decode at once.

        Raises:
            OSError: The folder cannot be written; the images are closed then.
            TunePaddyError: There is no room; the same.
        """
        try:
            self._build(threads)
        except BaseException:
            self.close()
            raise

    def _build(self, threads: int) -> None:
        (self._entry / _LOCKS).mkdir(exist_ok=True)
        start = os.getpid() % max(1, len(self._shards))  # processes begin at different places
        numbers = [*range(start, len(self._shards)), *range(start)]
        busy = [number for number in numbers if not self._obtain(number, threads, 0)]
        deadline = time.monotonic() + PATIENCE
        for number in busy:
            self._obtain(number, threads, max(0.0, deadline - time.monotonic()))

    def read(self, path: str) -> Pixels | None:
        """Return an image after the first step of resizing, uint8 [3, h, w], which is not to be written to.

        None where the cache does not have it: it has to be read from its file.
        """
        row = self._rows.get(path)
        if row is None:
            return None
        number, index = divmod(row, self._length)
        shard = self._shards[number]
        if shard is None:
            return None
        try:
            return shard.read(index)
        except DamagedShardError:
            return self._mend(number, shard, index)

    def close(self) -> None:
        """Let go of the entry, which may be removed from now on; what was read stays valid."""
        self._shards = [None] * len(self._shards)
        self._pin.release()
        with suppress(OSError):
            Path(self._pin.lock_file).unlink(missing_ok=True)

    def __enter__(self) -> "CachedImages":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _obtain(self, number: int, threads: int, timeout: float) -> bool:
        """Map a shard, building it if need be; False where another process is at it for longer."""
        shard = self._mapped(number)
        if shard is None:
            try:
                with FileLock(self._entry / _LOCKS / f"{number:05d}", timeout=timeout, thread_local=False):
                    shard = self._mapped(number)  # by another process, meanwhile
                    if shard is None:
                        shard = self._make(number, threads)
            except Timeout:
                return False
        self._shards[number] = shard
        return True

    def _make(self, number: int, threads: int) -> Shard | None:
        """Build a shard while its lock is held; None if one of its images cannot be read."""
        path = self._path(number)
        for left_over in path.parent.glob(f".{path.name}.*"):  # by a process that was killed
            left_over.unlink(missing_ok=True)
        try:
            with ThreadPoolExecutor(threads, thread_name_prefix="cache") as pool:
                images = list(pool.map(self._load, self._files(number)))
        except ImageError:
            return None
        self._require(sum(image.nbytes for image in images))
        write_shard(path, images)
        return self._mapped(number)

    def _mapped(self, number: int) -> Shard | None:
        """A shard that is there and whole, as far as can be seen without reading all of it."""
        try:
            shard = Shard(self._path(number))
        except (OSError, DamagedShardError):
            return None
        return shard if len(shard) == len(self._files(number)) else None

    def _files(self, number: int) -> Sequence[str]:
        return self._paths[number * self._length : (number + 1) * self._length]

    def _mend(self, number: int, damaged: Shard, index: int) -> Pixels | None:
        """Build a shard again that turned out to be damaged."""
        with self._mending:
            if self._shards[number] is damaged:
                self._shards[number] = None
                with suppress(OSError, TunePaddyError):
                    self._path(number).unlink(missing_ok=True)
                    self._obtain(number, 1, PATIENCE)
        shard = self._shards[number]
        try:
            return None if shard is None else shard.read(index)
        except DamagedShardError:
            return None

    def _path(self, number: int) -> Path:
        return self._entry / f"{number:05d}{SUFFIX}"
