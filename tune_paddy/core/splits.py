"""Stratified shares and folds of labelled images, in whole groups: the arithmetic of splits.

It stores nothing: `data/split.py` makes and keeps the split of a search with it. The folds in which a
selection is cross-fitted are those of `core/folds.py`.
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_ATTEMPTS = 40
"""Maximum number of draws until every class is on both sides."""
_MANY = 2000
"""Number of groups that span classes above which one draw is balanced enough."""


def stratified_group_split(labels: Ints, groups: Ints, *, share: float, seed: int) -> Mask:
    """Choose a random share of the images, the same share of every class, in whole groups.

    Each class's target is its share of the images, rounded by the largest remainders so that the total is
    right as well. Groups are taken in random order. Some are skipped where that is needed to reach the sum
    nearest to the target (subset sums, Bellman 1957: exact for a class whose groups hold no other class).
    Groups that span classes are divided first, as in `group_folds`, and the best of several draws is taken.
    The only group of a class is never chosen (see `only_groups`).

    Args:
        labels: [images], class of each image.
        groups: [images], equal values for images that must stay together.
        share: Share of the images to choose, within (0, 1).
        seed: Random seed; equal arguments give equal results on every platform.

    Returns:
        [images], True for chosen images; every class has images on the other side, and on both sides if
        groups that span classes allow it.

    Raises:
        InputError: No class has two groups, or groups that span classes prevent a split that leaves every
            class on the other side.
    """
    if not 0 < share < 1:
        raise InputError(f"the share of a split must lie between 0 and 1, not {share}")
    table = _count_images(labels, groups)
    fixed = _only_groups(table)
    if fixed.all():
        raise InputError(
            "no class has two distinct images, or images of two groups, one to train on and one to hold "
            "back: add images, merge classes, or set `copies` or `group` if images that only look alike "
            "stay together",
            options=("copies", "group"),
        )
    rng = np.random.default_rng(seed)
    targets = _round_targets(table.sum(axis=0), share)
    spanning = _spanning(table) & ~fixed
    draws = (_choose_groups(table, fixed, spanning, targets, share=share, rng=rng) for _ in range(_ATTEMPTS))
    sound = (draw for draw in draws if draw.any() and _all_classes(table[~draw]))
    candidates = list(islice(sound, _useful_draws(spanning)))
    if not candidates:
        raise InputError(
            "no split leaves every class to train on: images that stay together tie classes together; "
            "correct their labels, remove them, or set `copies` or `group`",
            options=("copies", "group"),
        )
    chosen = min(candidates, key=lambda draw: _misses(table[draw].sum(axis=0), targets))
    return chosen[np.unique(groups, return_inverse=True)[1]]


def group_folds(labels: Ints, groups: Ints, *, k: int, seed: int) -> Ints:
    """Distribute the images over k folds of equal size and class balance, in whole groups.

    The largest groups come first, then class by class in random order. Each goes to the fold with the
    fewest images of its classes, then the fewest in total (longest processing time first, Graham 1969). If
    groups span classes, the best balanced of several draws is taken.
    Without groups, folds differ by at most one image of each class and by at most one in total. The only
    group of a class is in no fold (see `only_groups`): a model that holds it out would not know the class.

    Args:
        labels: [images], class of each image.
        groups: [images], equal values for images that must stay together.
        k: Number of folds, at least 2.
        seed: Random seed; equal arguments give equal results on every platform.

    Returns:
        [images], the fold of each image, 0 to k - 1, or -1 for images of `only_groups`. No fold is empty,
        and every class occurs outside of each fold.

    Raises:
        InputError: There are fewer than k groups to distribute, or groups that span classes put a whole
            class into one fold.
    """
    if k < 2:  # noqa: PLR2004 one fold is no division
        raise InputError(f"need at least 2 folds, not {k}")
    table = _count_images(labels, groups)
    fixed = _only_groups(table)
    free = int(np.count_nonzero(~fixed))
    if free < k:
        raise InputError(
            f"`folds={k}` needs {k} distinct images or groups in classes with two or more; there are {free}: "
            + (f"use at most {free} folds" if free > 1 else "add images"),
            options=("folds",),
        )
    rng = np.random.default_rng(seed)
    draws = (_deal_free(table, fixed, k, rng) for _ in range(_ATTEMPTS))
    sound = (folds for folds in draws if all(_all_classes(table[folds != fold]) for fold in range(k)))
    candidates = list(islice(sound, _useful_draws(_spanning(table) & ~fixed)))
    if not candidates:
        raise InputError(
            f"a model of `folds={k}` would train without a class: images that stay together tie classes "
            "together; use more folds, correct their labels, remove them, or set `copies` or `group`",
            options=("folds", "copies", "group"),
        )
    best = min(candidates, key=lambda folds: _imbalance(table, folds, k))
    return best[np.unique(groups, return_inverse=True)[1]]


def deal_groups(labels: Ints, groups: Ints, k: int, rng: np.random.Generator) -> Ints:
    """Distribute all images over at most k folds, in whole groups, as evenly as one draw does.

    Args:
        labels: [images], class of each image.
        groups: [images], equal values for images that must stay together; at least two groups.
        k: Number of folds, at least 2.
        rng: Random number generator; it is advanced.

    Returns:
        [images], the fold of each image, from 0; each fold leaves an image outside.
    """
    folds = _deal(_count_images(labels, groups), np.ones(k), rng)
    return folds[np.unique(groups, return_inverse=True)[1]]


def only_groups(labels: Ints, groups: Ints) -> Mask:
    """Return whether an image is in the only group of a class, bool [images].

    Such images can only be trained on: held back, no image of the class would be left to learn from.

    Args:
        labels: [images], class of each image.
        groups: [images], equal values for images that must stay together.
    """
    fixed = _only_groups(_count_images(labels, groups))
    return fixed[np.unique(groups, return_inverse=True)[1]]


def _only_groups(table: Ints) -> Mask:
    """Return whether a group is the only one of a class, bool [groups]."""
    lonely = np.count_nonzero(table, axis=0) == 1
    return np.asarray((table[:, lonely] > 0).any(axis=1))


def _spanning(table: Ints) -> Mask:
    """Return whether a group holds several classes, bool [groups]."""
    return np.asarray(np.count_nonzero(table, axis=1) > 1)


def _useful_draws(spanning: Mask) -> int:
    """Return how many draws to compare: without groups that span classes all are as good as the first."""
    number = int(np.count_nonzero(spanning))
    return min(_ATTEMPTS, max(1, _MANY // number)) if number else 1


def _misses(held: Ints, targets: Ints) -> tuple[int, float]:
    """Return the number of missing classes, and how far the images held of each are from its target."""
    return int(np.count_nonzero(held == 0)), float(np.square(held / np.maximum(targets, 1) - 1).sum())


def _imbalance(table: Ints, folds: Ints, k: int) -> float:
    """Return the variance of the classes' shares over the folds of the groups, summed over the classes."""
    held = np.stack([table[folds == fold].sum(axis=0) for fold in range(k)])
    return float((held / np.maximum(held.sum(axis=0), 1)).var(axis=0).sum())


def _deal_free(table: Ints, fixed: Mask, k: int, rng: np.random.Generator) -> Ints:
    """Return the fold of each group that is not `fixed`, otherwise -1, int [groups]."""
    folds = np.full(len(table), -1)
    folds[~fixed] = _deal(table[~fixed], np.ones(k), rng)
    return folds


def _all_classes(table: Ints) -> bool:
    return bool(table.sum(axis=0).all())


def _count_images(labels: Ints, groups: Ints) -> Ints:
    """Count images [groups, classes], both in sorted order."""
    if labels.ndim != 1 or labels.shape != groups.shape or not len(labels):
        raise InputError(f"labels {labels.shape} and groups {groups.shape} must be equally long 1-D arrays")
    names, group_rows = np.unique(groups, return_inverse=True)
    classes, class_columns = np.unique(labels, return_inverse=True)
    table = np.zeros((len(names), len(classes)), np.int64)
    np.add.at(table, (group_rows, class_columns), 1)
    return table


def _round_targets(totals: Ints, share: float) -> Ints:
    """Round share × totals to whole images per class, keeping the rounded total."""
    exact = totals * share
    targets = np.floor(exact).astype(np.int64)
    missing = round(float(exact.sum())) - int(targets.sum())
    by_remainder = np.argsort(targets - exact, kind="stable")
    targets[by_remainder[:missing]] += 1
    bounded: Ints = np.clip(targets, 1, totals - 1)
    return bounded


def _choose_groups(
    table: Ints, fixed: Mask, spans: Mask, targets: Ints, *, share: float, rng: np.random.Generator
) -> Mask:
    """Draw a mask [groups] whose images come as close to each class's target as possible.

    Groups that are `fixed` [groups] are never chosen.
    """
    chosen = np.zeros(len(table), np.bool_)
    spanning = np.flatnonzero(spans)
    chosen[spanning] = _divide(table[spanning], share, rng)
    for column, target in enumerate(targets):
        own = rng.permutation(np.setdiff1d(np.flatnonzero((table[:, column] > 0) & ~fixed), spanning))
        tied = table[spanning, column]
        taken = int(tied[chosen[spanning]].sum())
        sizes = table[own, column].tolist()
        left = int(tied.sum() - taken + table[fixed, column].sum())
        low = 0 if taken else 1
        high = sum(sizes) - (not left)
        rows = _nearest_sum(sizes, int(target) - taken, low=low, high=high)
        chosen[own[rows]] = True
    return chosen


def _divide(table: Ints, share: float, rng: np.random.Generator) -> Mask:
    """Draw a mask [groups] of groups that span classes: a share of their own images, of each class.

    If they were taken while they fit, nearly all would end up on the chosen side. About half of
    the draws take them by their number alone: dealt by their sizes, a few groups would always be on the same
    sides.
    """
    if rng.random() < 0.5:  # noqa: PLR2004 about half of the draws
        return np.asarray(rng.random(len(table)) < share)
    return np.asarray(_deal(table, np.array([share, 1 - share]), rng) == 0)


def _nearest_sum(sizes: Sequence[int], target: int, *, low: int, high: int) -> list[int]:
    """Choose items whose sum is nearest to a target within [low, high]; prefer early items.

    Example:
        >>> _nearest_sum([3, 1, 1, 2], 2, low=1, high=6)
        [2, 1]
    """
    target = min(max(target, low), high)
    longest = target + max(sizes, default=0) + 1  # larger sums are never nearest: one item less is nearer
    first = np.full(longest, -1)  # the item that first reached each sum
    reached = np.zeros(longest, np.bool_)
    reached[:1] = True
    for item, size in enumerate(sizes):
        if reached[target]:
            break
        new = np.zeros_like(reached)
        new[size:] = reached[: longest - size]
        new &= ~reached
        first[new] = item
        reached |= new
    sums = np.flatnonzero(reached)
    sums = sums[(sums >= low) & (sums <= high)]
    return _items_of_sum(int(sums[np.abs(sums - target).argmin()]), sizes, first) if len(sums) else []


def _items_of_sum(wanted: int, sizes: Sequence[int], first: NDArray[np.intp]) -> list[int]:
    items: list[int] = []
    while wanted:
        items.append(int(first[wanted]))
        wanted -= sizes[items[-1]]
    return items


def _deal(table: Ints, shares: NDArray[np.float64], rng: np.random.Generator) -> Ints:
    """Return the fold of each group, int [groups].

    Args:
        table: Images [groups, classes].
        shares: Size of each fold in relation to the others, [folds].
        rng: Random number generator; it is advanced.
    """
    totals = table.sum(axis=0)
    order = rng.permutation(len(table))
    order = order[np.lexsort((table[order].argmax(axis=1), -table[order].sum(axis=1)))]
    held = np.zeros((len(shares), table.shape[1]), np.int64)
    fold_of_group: Ints = np.empty(len(table), np.int64)
    for group in order:
        present = table[group] > 0
        after = (held + table[group]) / shares[:, None]
        of_its_classes = (after[:, present] / totals[present]).max(axis=1)
        fold = np.lexsort((after.sum(axis=1), of_its_classes))[0]
        fold_of_group[group] = fold
        held[fold] += table[group]
    return fold_of_group
