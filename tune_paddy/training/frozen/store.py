"""Embedding cache: the features of each image under a frozen body, computed once for all members.

An *entry* is a folder of one kind of features: of a network with its weights, a size, a resizing and a
symmetry. Its *segments* are safetensors files, each with the features of some images under the hashes of
their contents. Other members, folds, searches and datasets thus share what they have in common. A segment is
written atomically and carries a checksum; a damaged one is removed, and its images are embedded again. The
lock of an entry lets a second member wait for the first instead of repeating its work.

A limit bounds the total size, and the least recently used entries are removed first. The cache is optional:
on any error, members compute features without it.
"""

import hashlib
import json
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.image_cache.cache import SPARE, machine_cache
from tune_paddy.data.system.files import cache_folder, make_private_folder, write_atomically
from tune_paddy.training.saved.checkpoint import write_safetensors

FORMAT = 1
"""Format version, incremented when features change; entries of other versions are never found."""

Digests = NDArray[np.uint8]
"""SHA-256 of the contents of each image file, uint8 [images, 32]."""

_ABOUT, _SUFFIX, _LOCKS, _DOOMED = "entry.json", ".safetensors", ".locks", ".doomed"
_POLL = 1.0
"""Time between two looks at an entry that another process is filling, in seconds."""


@dataclass(frozen=True)
class EmbeddingCache:
    """Folder of entries with a limit on their total size.

    Attributes:
        folder: Folder of the entries, created with the first entry.
        limit: Limit of the total size, in bytes.
    """

    folder: Path
    limit: int

    @contextmanager
    def opened(
        self, key: Mapping[str, Any], alive: Callable[[], None] = lambda: None
    ) -> Iterator["Entry | None"]:
        """Hold an entry, so that no other process fills it meanwhile; wait for one that does.

        Args:
            key: Everything that the features of an image depend on, apart from the image.
            alive: Callback about once a second while waiting.

        Yields:
            The entry; None if the folder cannot be used.
        """
        name = hashlib.sha256(json.dumps([FORMAT, key], sort_keys=True).encode()).hexdigest()[:32]
        with ExitStack() as stack:
            try:
                make_private_folder(self.folder / _LOCKS)
                lock = FileLock(self.folder / _LOCKS / name, thread_local=False)
                _wait_for(lock, alive)
                stack.callback(lock.release)
                self._sweep()
                write_atomically(self.folder / name / _ABOUT, json.dumps(key, indent=1).encode())
                for left_over in (self.folder / name).glob(".*.partial"):  # from a killed process
                    left_over.unlink()
                entry = Entry(self.folder / name, self._make_room)
            except (OSError, NotImplementedError, TunePaddyError):  # a full disk, or no locks on it
                entry = None
            yield entry

    def _sweep(self) -> None:
        """Remove what is left of entries whose removal was interrupted."""
        for doomed in self.folder.glob(f".*{_DOOMED}"):
            shutil.rmtree(doomed, ignore_errors=True)

    def _make_room(self, needed: int, kept: Path) -> bool:
        """Remove the least recently used entries until `needed` bytes fit; return whether they do."""
        sizes = {entry: _size(entry) for entry in self.folder.iterdir() if (entry / _ABOUT).exists()}
        for entry in sorted(sizes, key=lambda entry: _mtime(entry / _ABOUT)):
            if self._fits(sum(sizes.values()) + needed, needed):
                break
            if entry != kept and self._remove(entry):
                del sizes[entry]
        return self._fits(sum(sizes.values()) + needed, needed)

    def _fits(self, total: int, needed: int) -> bool:
        return total <= self.limit and shutil.disk_usage(self.folder).free >= needed + SPARE

    def _remove(self, entry: Path) -> bool:
        """Remove an entry unless a process holds it; return whether it is gone."""
        try:
            with FileLock(self.folder / _LOCKS / entry.name, timeout=0):
                doomed = entry.with_name(f".{secrets.token_hex(4)}{_DOOMED}")
                entry.rename(doomed)  # so that no half of an entry is ever seen
                shutil.rmtree(doomed, ignore_errors=True)
        except (Timeout, OSError):
            return False
        return True


class Entry:
    """Features of images under one frozen body; held by one process.

    Args:
        folder: Existing folder of the entry.
        make_room: Function that returns whether a number of bytes fit beside this entry.
    """

    def __init__(self, folder: Path, make_room: Callable[[int, Path], bool]) -> None:
        self._folder, self._make_room = folder, make_room

    def read(self, digests: Digests) -> dict[bytes, NDArray[np.float32]]:
        """Return the known features of some images: contents' hash → float32 [features].

        Damaged segments are removed.
        """
        wanted = {row.tobytes() for row in digests}
        found: dict[bytes, NDArray[np.float32]] = {}
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                images, values = _read_segment(path)
            except (SafetensorError, OSError, ValueError, KeyError, TypeError):
                with suppress(OSError):
                    path.unlink()
                continue
            found |= {image: value for image, value in zip(images, values, strict=True) if image in wanted}
        return found

    def write(self, digests: Digests, values: NDArray[np.float32]) -> bool:
        """Add the features of some images, float32 [images, features]; return whether there was space."""
        tensors = {"images": torch.from_numpy(digests), "values": torch.from_numpy(values)}
        try:
            if not self._make_room(digests.nbytes + values.nbytes, self._folder):
                return False
            path = self._folder / f"{secrets.token_hex(8)}{_SUFFIX}"
            write_safetensors(path, tensors, {"sum": str(_checksum(digests, values))})
        except (OSError, SafetensorError):  # a full disk
            return False
        return True


def machine_embeddings(limit: float | None) -> EmbeddingCache | None:
    """Return the embedding cache of this machine, or None if it is disabled.

    Args:
        limit: Limit in GB, as for the image cache beside it; None: half of the memory; 0: disabled.
    """
    images = machine_cache(limit)
    return None if images is None else EmbeddingCache(cache_folder("embeddings"), images.allowed)


def digests_of(paths: Sequence[str], sums: Mapping[str, str]) -> Digests:
    """Return the hash of the contents of each image file.

    Args:
        paths: Paths of the files.
        sums: Path → SHA-256, hexadecimal, as far as it is known; other files are read.
    """
    known = [bytes.fromhex(sums[path]) if path in sums else _file_digest(path) for path in paths]
    return np.frombuffer(b"".join(known), np.uint8).reshape(len(paths), 32).copy()


def unchanged(path: str, digest: bytes) -> bool:
    """Return whether a file has these contents now: it may have been replaced since they were hashed.

    Args:
        path: Path of the file.
        digest: SHA-256 of the contents.
    """
    try:
        return _file_digest(path) == digest
    except OSError:
        return False


def _file_digest(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _wait_for(lock: FileLock, alive: Callable[[], None]) -> None:
    while True:
        try:
            lock.acquire(timeout=_POLL)
        except Timeout:
            alive()
        else:
            return


def _read_segment(path: Path) -> tuple[list[bytes], NDArray[np.float32]]:
    with safe_open(path, framework="np") as file:
        digests, values, stored = (*map(file.get_tensor, ("images", "values")), file.metadata()["sum"])
    if stored != str(_checksum(digests, values)):
        raise ValueError(path)
    return [row.tobytes() for row in digests], values


def _checksum(digests: Digests, values: NDArray[np.float32]) -> int:
    return zlib.crc32(values.tobytes(), zlib.crc32(digests.tobytes()))


def _size(entry: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in entry.glob(f"*{_SUFFIX}"))
    return 0


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
