"""Detection of copies among images: re-encoded, resized or slightly brightened versions.

A perceptual hash finds candidates, and a comparison of thumbnails confirms them. The hash alone is not
enough: it reflects little more than light and dark areas, and 1,797 small images of handwritten digits have
1,426 pairs within eight bits. Rotated, mirrored and cropped copies are not detected, nor are all copies of
images with little content, such as a piece of sky.

The thresholds were set with copies of photographs (JPEG quality 30 and 75, half the size, brightness × 0.8
and × 1.1, contrast × 1.2, gamma 0.9; correlations of 0.995 and more except for a few overexposed parts)
against the digits, whose nearest candidates have a correlation of 0.990.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SIDE = 32
"""Side of the thumbnails, in px."""

MAX_DISTANCE = 8
"""Maximum number of different bits, of 64, between the hashes of candidates."""

MIN_CORRELATION = 0.992
"""Minimum correlation of the thumbnails' pixels around their channel means."""

MAX_SHIFT = 48.0
"""Maximum difference of channel means, in grey levels of 255."""

MAX_CONTRAST_RATIO = 1.5
"""Maximum ratio of the standard deviations around those means."""

_BLOCK = 2**22
"""Number of image pairs compared at once: 32 MB of hashes."""


def group_copies(hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Group images that are copies of each other, directly or transitively.

    All pairs of hashes are compared, in blocks: 14,000 images take less than a second. The confirmation is
    a matrix product, which bounds the time when many images have similar hashes.

    Args:
        hashes: Perceptual hashes of 64 bits, [images].
        thumbnails: Thumbnails, [images, SIDE, SIDE, 3].

    Returns:
        [images], group number of each image; groups are numbered in the order of their first images.
    """
    pictures, which = distinct(thumbnails)
    pairs = np.concatenate([np.empty((0, 2), np.int64), *_confirmed(hashes[pictures], thumbnails[pictures])])
    n = len(pictures)
    links = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    groups = connected_components(links, directed=False)[1][which]
    _, first, names = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[names]


def distinct(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the distinct thumbnails, and for every image the index of its own.

    Thousands of identical files thus cost no more than one.
    """
    rows: dict[bytes, int] = {}
    names = (rows.setdefault(thumbnail.tobytes(), len(rows)) for thumbnail in thumbnails)
    which = np.fromiter(names, np.int64, count=len(thumbnails))
    return np.unique(which, return_index=True)[1].astype(np.int64), which


def _confirmed(hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]) -> Iterator[NDArray[np.int64]]:
    """Yield the confirmed pairs [pairs, 2] of each block of rows."""
    n = len(hashes)
    step = max(1, _BLOCK // max(1, n))
    for start in range(0, n, step):
        block = hashes[start : start + step]
        near = np.bitwise_count(block[:, None] ^ hashes[None, start:]) <= MAX_DISTANCE
        near &= np.arange(len(block))[:, None] < np.arange(n - start)[None]
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        alike = _alike(thumbnails[rows + start], thumbnails[columns + start])
        first, second = np.nonzero(alike & near[np.ix_(rows, columns)])
        yield np.stack([rows[first], columns[second]], axis=1) + start


def _alike(these: NDArray[np.uint8], those: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return whether thumbnails match up to brightness and contrast, [these, those]."""
    shapes, means, contrasts = _describe(these)
    other_shapes, other_means, other_contrasts = _describe(those)
    shift = np.abs(means[:, None] - other_means[None]).max(axis=2, initial=0)
    low, high = np.minimum.outer(contrasts, other_contrasts), np.maximum.outer(contrasts, other_contrasts)
    alike: NDArray[np.bool_] = shapes @ other_shapes.T >= MIN_CORRELATION
    alike &= (shift <= MAX_SHIFT) & (high <= MAX_CONTRAST_RATIO * low)
    return alike


def _describe(
    thumbnails: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Split thumbnails into shapes of unit length [n, values], means [n, channels] and contrasts [n].

    A thumbnail of one colour has no shape: it matches only identical ones.
    """
    n, height, width, channels = thumbnails.shape
    pixels = thumbnails.reshape(n, height * width, channels).astype(np.float32)
    means = pixels.mean(axis=1)
    shapes = (pixels - means[:, None]).reshape(n, height * width * channels)
    norms = np.linalg.norm(shapes, axis=1)
    shapes /= np.maximum(norms, np.finfo(np.float32).tiny)[:, None]
    return shapes, means, norms / np.sqrt(shapes.shape[1])
