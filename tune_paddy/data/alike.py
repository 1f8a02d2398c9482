"""Images that look alike because of how they were taken, such as parts before a fixed camera: no copies.

Two photos of one scene can be as similar as a photo and its re-encoded version. But among the photos of a
scene what is common to all of them says nothing: copies also share what differs from the others. So in a
group that is implausibly large for copies, images are compared again without the group's mean. And copies
share all of that, down to the noise: two parts with a scratch at the same place share the scratch alone.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tune_paddy.data.duplicates import distinct

LARGEST_SHARE = 0.1
"""Largest plausible share of a dataset's different pictures in one group of copies."""
LARGEST = 8
"""Number of pictures up to which a group is plausible, whatever its share."""
WHOLE_CLASS = 3
"""Number of pictures from which a class is implausible as one group."""
MIN_RESIDUALS = (0.5, 0.75, 0.9, 0.97)
"""Minimum correlation of what differs from the mean of a group, for copies within it; tried in this order.

Of a fixed camera's photos, those that differ by noise alone stay far below 0.5; brightened copies reach 0.9,
re-encoded and resized ones 0.55 to 0.9. Where the light changes, other photos do so as well, and only a
stricter comparison divides the group.
"""


CLIPPED = 2.0
"""Multiple of the median difference from the mean of a group at which differences are clipped."""
MIN_CLIPPED = 0.5
"""Minimum correlation of clipped differences, in which what stands out, such as a scratch, counts little.

Of a fixed camera's photos with scratches at all places it stays below 0.35, though the correlation without
clipping reaches 0.88; copies stay above 0.6.
"""


def split_alike(
    groups: NDArray[np.int64], thumbnails: NDArray[np.uint8], classes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """Divide implausibly large groups into those of closer copies.

    A group is too large if its different pictures are more than `LARGEST` and more than `LARGEST_SHARE` of
    all, or if it holds the `WHOLE_CLASS` or more pictures of a class. Identical thumbnails stay together. A
    group that stays too large is divided completely.

    Args:
        groups: int [images], group of each image.
        thumbnails: uint8 [images, side, side, channels].
        classes: int [images], class of each image; negative: unknown.

    Returns:
        int [images], new groups, and the number of images in groups that were divided.
    """
    if np.bincount(groups).max(initial=0) < WHOLE_CLASS:  # nearly every dataset
        return groups, 0
    rows, which = distinct(thumbnails)
    pictures = thumbnails[rows].reshape(len(rows), -1)
    divided = np.zeros(len(groups), np.bool_)
    found, limit = groups.copy(), max(LARGEST, LARGEST_SHARE * len(pictures))
    for least in (*MIN_RESIDUALS, np.inf):
        for images in _too_large(found, which, classes, limit):
            divided[images] = True
            found[images] = found.max() + 1 + _closer(pictures, which[images], least)
    return np.unique(found, return_inverse=True)[1], int(divided.sum())


def _too_large(
    groups: NDArray[np.int64], which: NDArray[np.int64], classes: NDArray[np.int64], limit: float
) -> list[NDArray[np.int64]]:
    """Return the images of each group that holds more pictures than copies plausibly do."""
    totals = {label: len(np.unique(which[classes == label])) for label in np.unique(classes[classes >= 0])}
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    found = []
    for images in parts:
        if len(images) < WHOLE_CLASS:
            continue
        labels = classes[images]
        own = {
            label: len(np.unique(which[images[labels == label]])) for label in np.unique(labels[labels >= 0])
        }
        whole = any(WHOLE_CLASS <= totals[label] == count for label, count in own.items())
        if whole or len(np.unique(which[images])) > limit:
            found.append(images)
    return found


def _closer(pictures: NDArray[np.uint8], which: NDArray[np.int64], least: float) -> NDArray[np.int64]:
    """Group the images of one group by the correlation of their differences from its mean, int [images]."""
    rows, place = np.unique(which, return_inverse=True)
    shapes = pictures[rows].astype(np.float32)
    shapes = _unit(shapes - shapes.mean(axis=1, keepdims=True))
    shapes -= shapes.mean(axis=0)
    clipped, shapes = _unit(_clipped(shapes)), _unit(shapes)
    near = (shapes @ shapes.T >= least) & (clipped @ clipped.T >= MIN_CLIPPED)
    first, second = np.nonzero(np.triu(near, 1))
    links = coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(len(rows), len(rows)))
    components: NDArray[np.int64] = connected_components(links, directed=False)[1][place]
    return components


def _clipped(shapes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip the values of rows at a multiple of their median size; rows without noise stay."""
    limits = CLIPPED * np.median(np.abs(shapes), axis=1, keepdims=True)
    limits[limits == 0] = np.inf
    return np.clip(shapes, -limits, limits)


def _unit(shapes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to length 1; rows of zeros stay."""
    lengths = np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(shapes / lengths)
