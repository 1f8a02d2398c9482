"""One entry of the image cache: built by the processes that need it, then read by all.

An entry consists of shards, each with its own lock. A process builds missing shards and skips those that
another process is building. Trials that start together share the work, and a killed process loses at most
one unfinished shard.
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
"""Time to wait for another process, in seconds, before images are read from their files instead."""

_LOCKS = "locks"
_SHARD_BYTES = 2**26
_FEWEST, _MOST = 16, 512  # images per shard


def shard_length(size: Size) -> int:
    """Return the number of images in a shard of about 64 MiB."""
    return min(max(_SHARD_BYTES // (3 * size[0] * size[1]), _FEWEST), _MOST)


class CachedImages:
    """Images of an entry.

    Args:
        entry: Existing folder of the entry.
        paths: Paths of all images, in the order of the entry.
        load: Function that decodes a file and applies the first step of resizing.
        length: Number of images per shard.
        pin: Held lock that protects the entry from removal.
        require: Function that raises an error if there is no space for that many more bytes.
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
        """Map all shards into memory, and build missing ones; on an error, close the images.

        Args:
            threads: Number of images to decode at once.

        Raises:
            OSError: The folder cannot be written.
            TunePaddyError: There is no space.
        """
        try:
            self._build(threads)
        except BaseException:
            self.close()
            raise

    def _build(self, threads: int) -> None:
        (self._entry / _LOCKS).mkdir(exist_ok=True)
        start = os.getpid() % max(1, len(self._shards))  # processes start at different shards
        numbers = [*range(start, len(self._shards)), *range(start)]
        busy = [number for number in numbers if not self._obtain(number, threads, 0)]
        deadline = time.monotonic() + PATIENCE
        for number in busy:
            self._obtain(number, threads, max(0.0, deadline - time.monotonic()))

    def read(self, path: str) -> Pixels | None:
        """Return an image after the first step of resizing, read-only uint8 [3, h, w].

        Return None on a cache miss: the image must be read from its file.
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
        """Release the entry, which may then be removed; images already read stay valid."""
        self._shards = [None] * len(self._shards)
        self._pin.release()
        with suppress(OSError):
            Path(self._pin.lock_file).unlink(missing_ok=True)

    def __enter__(self) -> "CachedImages":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _obtain(self, number: int, threads: int, timeout: float) -> bool:
        """Map a shard, and build it if it is missing; return False on a timeout of its lock."""
        shard = self._mapped(number)
        if shard is None:
            try:
                with FileLock(self._entry / _LOCKS / f"{number:05d}", timeout=timeout, thread_local=False):
                    shard = self._mapped(number)  # another process may have built it meanwhile
                    if shard is None:
                        shard = self._make(number, threads)
            except Timeout:
                return False
        self._shards[number] = shard
        return True

    def _make(self, number: int, threads: int) -> Shard | None:
        """Build a shard under its lock; return None if one of its images cannot be read."""
        path = self._path(number)
        for left_over in path.parent.glob(f".{path.name}.*"):  # from a killed process
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
        """Return an existing shard if its header and length are valid, else None."""
        try:
            shard = Shard(self._path(number))
        except (OSError, DamagedShardError):
            return None
        return shard if len(shard) == len(self._files(number)) else None

    def _files(self, number: int) -> Sequence[str]:
        return self._paths[number * self._length : (number + 1) * self._length]

    def _mend(self, number: int, damaged: Shard, index: int) -> Pixels | None:
        """Rebuild a damaged shard, and return the image, or None."""
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
