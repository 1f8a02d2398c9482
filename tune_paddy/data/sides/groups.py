"""Groups of labelled images that stay on one side of a split: copies, and images with an equal value."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.text import counted, shown

Groups = NDArray[np.int64]


def join_groups(copies: Groups, values: Sequence[str]) -> Groups:
    """Return the groups of the union of two relations: copies of each other, and an equal value.

    Images of two values that have a copy in common are one group, too.

    Args:
        copies: int [images], equal for copies of each other.
        values: Value of each image, [images]; "": unknown, the image is joined by its copies alone.

    Returns:
        int [images], numbered in the order of first images.
    """
    names: dict[str, int] = {}
    values_of = [names.setdefault(value, len(names)) if value else -1 for value in values]
    known = np.array(values_of, np.int64)
    first = np.unique(copies, return_inverse=True)[1]
    images, offset = np.flatnonzero(known >= 0), int(first.max(initial=-1)) + 1
    n = offset + len(names)
    links = coo_matrix((np.ones(len(images), np.int8), (first[images], offset + known[images])), shape=(n, n))
    joined = connected_components(links, directed=False)[1][first]
    _, firsts, inverse = np.unique(joined, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(firsts))[inverse].astype(np.int64)


def require_groups(column: str, values: Sequence[str], place: str) -> None:
    """Refuse a column that cannot divide the images.

    Args:
        column: Name of the column.
        values: Value of each labelled image, [images]; "": unknown.
        place: Name of the table.

    Raises:
        InputError: All images have one value, or each has its own.
    """
    sizes = Counter(value for value in values if value)
    if len(sizes) == 1 and "" not in values:
        raise InputError(
            f"{place}: all {counted(len(values), 'labelled image')} have the value "
            f"{shown(next(iter(sizes)))} in column {shown(column)}: as one group they cannot be divided; "
            "name another column with `group`, or leave it out",
            options=("group",),
        )
    if not sizes:
        raise InputError(
            f"{place}: column {shown(column)} is empty: name another column with `group`", options=("group",)
        )


def describe_groups(column: str, values: Sequence[str], labels: Sequence[str], place: str) -> str:
    """Return a sentence on the groups of a column: their number, sizes, and images without a value.

    Args:
        column: Name of the column.
        values: Value of each labelled image, [images]; "": unknown.
        labels: Label of each image, [images].
        place: Name of the table.
    """
    sizes = Counter(value for value in values if value)
    classes = Counter(value for value, _ in set(zip(values, labels, strict=True)) if value)
    several = sum(count > 1 for count in classes.values())
    unknown = sum(not value for value in values)
    least, most = min(sizes.values()), max(sizes.values())
    span = counted(most, "image") if least == most else f"{least:,} to {counted(most, 'image')}"
    groups = counted(len(sizes), "group")
    parts = [f"{place}, column {shown(column)}: {groups} of {span}, each kept on one side"]
    if several:
        parts.append(f"{several:,} with several classes")
    if unknown:
        parts.append(f"{counted(unknown, 'image')} without a value, each a group of its own")
    return "; ".join(parts)
