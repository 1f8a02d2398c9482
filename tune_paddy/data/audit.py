"""One pass over all images: which cannot be decoded, which are the same, and what they hold."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tune_paddy.data.images import ImageError, probe

THUMBNAIL = 32
"""Side in px of the greyscale thumbnails that confirm a likeness."""

MAX_HASH_DISTANCE = 6
"""Bits of the 64-bit perceptual hash by which candidates may differ."""

MIN_CORRELATION = 0.998
"""Of two thumbnails' pixels. Copies re-encoded, resized or brightened stay above it (0.999 and more);
the two most alike of scikit-learn's 1,797 handwritten digits, which are different images, do not."""

_BLOCK = 1024
_FLAT = 1.0  # standard deviation, in grey levels, below which a thumbnail has no pattern to compare


@dataclass(frozen=True)
class ImageFacts:
    """What one pass found out about one image.

    Attributes:
        sha256: Of the file, in hex.
        perceptual_hash: 64 bits that similar images share; Zauner's pHash.
        thumbnail: uint8 [THUMBNAIL, THUMBNAIL], grey.
    """

    sha256: str
    perceptual_hash: int
    thumbnail: NDArray[np.uint8]


def inspect_images(paths: Sequence[str], *, jobs: int | None = None) -> list[ImageFacts | ImageError]:
    """Decode every image once, in parallel.

    Args:
        paths: Image files.
        jobs: Threads; None: one for each CPU.

    Returns:
        For each path its facts, or the error that its decoding raised.
    """
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        return list(pool.map(_inspect, paths))


def _inspect(path: str) -> ImageFacts | ImageError:
    try:
        grey = probe(path, THUMBNAIL)
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except ImageError as error:
        return error
    except OSError as error:
        return ImageError(f"{path}: cannot be read: {error.strerror}")
    bits = imagehash.phash(grey).hash.ravel()
    return ImageFacts(digest, int(np.packbits(bits).view(">u8")[0]), np.asarray(grey))


def find_likeness(facts: Sequence[ImageFacts]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find images that are byte-identical or nearly the same.

    The perceptual hash finds candidates; a comparison of pixels confirms them, since small plain images
    have few different hashes.

    Returns:
        groups: int64 [images], equal for images that are linked by likeness.
        pairs: int64 [pairs, 2], the confirmed pairs.
    """
    n = len(facts)
    if n == 0:
        return np.empty(0, np.int64), np.empty((0, 2), np.int64)
    candidates = _candidate_pairs(np.array([fact.perceptual_hash for fact in facts], dtype=np.uint64))
    _, digests = np.unique([fact.sha256 for fact in facts], return_inverse=True)
    same = digests[candidates[:, 0]] == digests[candidates[:, 1]]
    pairs = candidates[same | _alike(np.stack([fact.thumbnail for fact in facts]), candidates)]
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, groups = connected_components(links, directed=False)
    return groups.astype(np.int64), pairs


def _candidate_pairs(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """All pairs (i < j) whose hashes differ in few bits; in blocks, n² / 2 exclusive ors in all."""
    found = []
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK]
        distance = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        rows, columns = np.nonzero(distance <= MAX_HASH_DISTANCE)
        later = columns > rows
        found.append(np.stack([rows[later], columns[later]], axis=1) + start)
    return np.concatenate(found).astype(np.int64)


def _alike(thumbnails: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the two thumbnails of each pair show the same picture, whatever its brightness."""
    pixels = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=1))
    unit = centred / np.maximum(spread, _FLAT)[:, None]
    alike = np.empty(len(pairs), dtype=bool)
    for start in range(0, len(pairs), _BLOCK):
        part = slice(start, start + _BLOCK)
        first, second = pairs[part, 0], pairs[part, 1]
        patterned = (spread[first] >= _FLAT) & (spread[second] >= _FLAT)
        correlation = (unit[first] * unit[second]).mean(axis=1)
        equal = (thumbnails[first] == thumbnails[second]).all(axis=(1, 2))
        alike[part] = np.where(patterned, correlation >= MIN_CORRELATION, equal)
    return alike
