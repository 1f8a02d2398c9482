from dataclasses import replace

import numpy as np

from tests.ensemble.conftest import make_pool
from tune_paddy.ensemble.reports.page.pairs import confused_pairs

PREDICTIONS = np.array([
    [0.9, 0.1, 0.0], [0.8, 0.1, 0.1],  # class a, right
    [0.1, 0.6, 0.3], [0.1, 0.7, 0.2], [0.3, 0.1, 0.6],  # class a, taken for b twice and for c once
    [0.2, 0.8, 0.0],  # class b, right
    [0.0, 0.1, 0.9],  # class c, right
])  # fmt: skip


def small_pool():
    """Make a pool of seven images of three classes."""
    pool = make_pool(images=7, tests=0)
    return replace(pool, classes=("a", "b", "c"), labels=np.array([0, 0, 0, 0, 0, 1, 2]))


def test_a_pair_has_its_errors_and_typical_images_of_both_classes_the_most_certain_first() -> None:
    (pair,) = confused_pairs(small_pool(), PREDICTIONS)
    assert (pair.truth, pair.taken, pair.count, pair.images) == ("a", "b", 2, 5)
    assert pair.wrong == ("3.jpg", "2.jpg")
    assert pair.like_truth == ("0.jpg", "1.jpg")
    assert pair.like_taken == ("5.jpg",)


def test_a_single_error_makes_no_pair() -> None:
    pool = small_pool()
    right = np.where(pool.labels[:, None] == np.arange(3), 0.8, 0.1)
    right[2] = 0.1, 0.8, 0.1
    assert confused_pairs(pool, right) == ()


def test_pairs_and_examples_are_limited() -> None:
    predictions = np.tile([0.2, 0.2, 0.6], (7, 1))  # all are taken for c
    (pair,) = confused_pairs(small_pool(), predictions, most=1, examples=2)
    assert (pair.count, len(pair.wrong)) == (5, 2)
