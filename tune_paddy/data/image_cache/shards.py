"""Shards of the image cache: memory-mapped files of several images, each image with a checksum.

A file starts with a table of its images. It is written to a temporary file and renamed, so that a killed
writer leaves no partial shard. It is not flushed to the disk, since the checksums detect damage from a power
failure.
"""

import secrets
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.data.resizing import Pixels

SUFFIX = ".images"

_MAGIC = b"paddy\x00\x001"
_HEADER = np.dtype([("magic", "S8"), ("place", "<u8"), ("images", "<u8"), ("table_sum", "<u8")])
_ENTRY = np.dtype([("start", "<u8"), ("height", "<u4"), ("width", "<u4"), ("sum", "<u8")])
_ALIGNED = 8  # bytes; checksums use 64-bit words
_BLOCK = 4096  # bytes


class DamagedShardError(Exception):
    """Truncated or altered shard."""


def write_shard(path: Path, images: Sequence[Pixels]) -> None:
    """Write images, each uint8 [3, h, w], to a file atomically.

    Raises:
        OSError: The file cannot be written, for example for lack of space.
    """
    flat = [image.reshape(-1) for image in images]
    table = np.empty(len(images), _ENTRY)
    table["height"] = [image.shape[1] for image in images]
    table["width"] = [image.shape[2] for image in images]
    table["sum"] = [checksum(values) for values in flat]
    lengths = np.array([len(values) + -len(values) % _ALIGNED for values in flat], np.uint64)
    table["start"] = _HEADER.itemsize + table.nbytes + np.cumsum(lengths) - lengths
    header = np.array((_MAGIC, _place(path), len(images), checksum(table.view(np.uint8))), _HEADER)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as file:
            file.write(header.tobytes() + table.tobytes())
            for values in flat:
                file.write(values.data)
                file.write(bytes(-len(values) % _ALIGNED))
        unfinished.replace(path)
    finally:
        with suppress(OSError):  # usually renamed by now
            unfinished.unlink()


class Shard:
    """Memory-mapped shard; all processes share its pages in memory.

    Args:
        path: Path of the file, which may be deleted after opening.

    Raises:
        OSError: The file is missing or cannot be read.
        DamagedShardError: The table or the length of the file is wrong.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._bytes: NDArray[np.uint8] = np.asarray(np.memmap(path, np.uint8, mode="r"))
        except ValueError as error:  # an empty file cannot be mapped
            raise DamagedShardError(path) from error
        self._table = self._read_table(path)
        self._sound = np.zeros(len(self._table), np.bool_)

    def _read_table(self, path: Path) -> NDArray[Any]:
        if len(self._bytes) < _HEADER.itemsize:
            raise DamagedShardError(path)
        header = self._bytes[: _HEADER.itemsize].view(_HEADER)[0]
        end = _HEADER.itemsize + int(header["images"]) * _ENTRY.itemsize
        values = self._bytes[_HEADER.itemsize : end]
        known = header["magic"] == _MAGIC and header["place"] == _place(path)
        if not (known and len(self._bytes) >= end > _HEADER.itemsize):
            raise DamagedShardError(path)
        if checksum(values) != header["table_sum"]:
            raise DamagedShardError(path)
        table = values.view(_ENTRY)
        last = table[-1]
        length = 3 * int(last["height"]) * int(last["width"])
        if int(last["start"]) + length + -length % _ALIGNED != len(self._bytes):
            raise DamagedShardError(path)
        return table

    def __len__(self) -> int:
        return len(self._table)

    def read(self, index: int) -> Pixels:
        """Return an image, read-only uint8 [3, h, w].

        The first read verifies the checksum, which is much cheaper than decoding the image.

        Raises:
            DamagedShardError: The checksum does not match.
        """
        start, height, width, expected = self._table[index].tolist()
        values = self._bytes[start : start + 3 * height * width]
        if not self._sound[index]:
            if checksum(values) != expected:
                raise DamagedShardError(f"image {index}")
            self._sound[index] = True
        return values.reshape(3, height, width)


def _place(path: Path) -> int:
    """Return a number that identifies a shard's place, to detect a file renamed from another place."""
    return zlib.crc32(f"{path.parent.name}/{path.name}".encode())


def checksum(values: NDArray[np.uint8]) -> int:
    """Return the CRC-32 of the sums of blocks of 64-bit words.

    It takes a tenth of the time of a CRC-32 of all bytes. It does not protect against deliberate changes.

    Args:
        values: uint8 [n].
    """
    whole = len(values) // _BLOCK * _BLOCK
    sums = values[:whole].view(np.uint64).reshape(-1, _BLOCK // 8).sum(axis=1)
    return zlib.crc32(values[whole:].tobytes(), zlib.crc32(sums.tobytes()))
