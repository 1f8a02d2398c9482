"""Images that look alike because of how they were taken, such as parts before a fixed camera: no copies.

Two photos of one scene can be as similar as a photo and its re-encoded version. But among the photos of a
scene what is common to all of them says nothing: copies also share what differs from the others. So in a
group that is implausibly large for copies, images are compared again without the group's mean.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

LARGEST_SHARE = 0.1
"""Largest plausible share of a dataset's different pictures in one group of copies."""
LARGEST = 8
"""Size up to which a group is plausible, whatever its share."""
MIN_RESIDUAL = 0.9
"""Minimum correlation of what differs from the mean of a group, for copies within it."""
_ROUNDS = 3
"""Maximum number of comparisons; a part that is still too large after them holds no copies."""


def split_alike(
    groups: NDArray[np.int64], thumbnails: NDArray[np.uint8], classes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """Divide implausibly large groups into those of closer copies.

    A group is too large with more than `LARGEST` different pictures that are more than `LARGEST_SHARE` of
    all, or all pictures of a class. Identical thumbnails stay together.

    Args:
        groups: int [images], group of each image.
        thumbnails: uint8 [images, side, side, channels].
        classes: int [images], class of each image; negative: unknown.

    Returns:
        int [images], new groups, and the number of images in groups that were divided.
    """
    pictures, which = np.unique(thumbnails.reshape(len(thumbnails), -1), axis=0, return_inverse=True)
    divided = np.zeros(len(groups), np.bool_)
    found, limit = groups.copy(), max(LARGEST, LARGEST_SHARE * len(pictures))
    for _ in range(_ROUNDS):
        large = _too_large(found, which, classes, limit)
        for group in large:
            images = np.flatnonzero(found == group)
            divided[images] = True
            found[images] = found.max() + 1 + _closer(pictures, which[images])
    for group in _too_large(found, which, classes, limit):
        images = np.flatnonzero(found == group)
        found[images] = found.max() + 1 + which[images]
    return np.unique(found, return_inverse=True)[1], int(divided.sum())


def _too_large(
    groups: NDArray[np.int64], which: NDArray[np.intp], classes: NDArray[np.int64], limit: float
) -> list[int]:
    """Return the groups that hold more pictures than copies plausibly do."""
    found = []
    totals = {label: len(np.unique(which[classes == label])) for label in np.unique(classes[classes >= 0])}
    for group in np.unique(groups).tolist():
        inside = groups == group
        if inside.sum() <= LARGEST:
            continue
        pictures = len(np.unique(which[inside]))
        own = {label: len(np.unique(which[inside & (classes == label)])) for label in totals}
        whole = any(own[label] == total > LARGEST for label, total in totals.items())
        if pictures > limit or (pictures > LARGEST and whole):
            found.append(group)
    return found


def _closer(pictures: NDArray[np.uint8], which: NDArray[np.intp]) -> NDArray[np.int64]:
    """Group the images of one group by the correlation of their differences from its mean, int [images]."""
    rows, place = np.unique(which, return_inverse=True)
    shapes = pictures[rows].astype(np.float32)
    shapes -= shapes.mean(axis=1, keepdims=True)
    shapes /= np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-6)
    shapes -= shapes.mean(axis=0)
    shapes /= np.maximum(np.linalg.norm(shapes, axis=1, keepdims=True), 1e-6)
    first, second = np.nonzero(np.triu(shapes @ shapes.T >= MIN_RESIDUAL, 1))
    n = len(rows)
    links = coo_matrix((np.ones(len(first), np.int8), (first, second)), shape=(n, n))
    components: NDArray[np.int64] = connected_components(links, directed=False)[1][place]
    return components
