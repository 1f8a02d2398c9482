import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.folds import stratified_folds


@pytest.mark.parametrize("n_folds", [2, 5])
def test_every_class_is_spread_evenly(n_folds: int) -> None:
    """Folds differ by at most one image of a class."""
    labels = np.repeat([0, 1, 2], [50, 7, 3])
    folds = stratified_folds(labels, n_folds, np.random.default_rng(0))
    for label in range(3):
        counts = np.bincount(folds[labels == label], minlength=n_folds)
        assert counts.max() - counts.min() <= 1


def test_every_part_left_over_holds_every_class() -> None:
    """Two images of a class are enough."""
    labels = np.array([0, 0, 1, 1, 1])
    for seed in range(20):
        folds = stratified_folds(labels, 5, np.random.default_rng(seed))
        assert all(set(labels[folds != fold]) == {0, 1} for fold in range(5))


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=8).filter(lambda counts: sum(counts) > 1),
    st.integers(2, 6),
)
def test_any_class_counts_leave_images_outside_of_every_fold(counts: list[int], n_folds: int) -> None:
    """Classes of one image are spread over the folds, so that no fold holds everything."""
    labels = np.repeat(np.arange(len(counts)), counts)
    folds = stratified_folds(labels, n_folds, np.random.default_rng(0))
    assert len(np.unique(folds)) > 1
    many = np.flatnonzero(np.array(counts) > 1)
    assert all(set(many) <= set(labels[folds != fold]) for fold in range(n_folds))


@given(st.integers(2, 12), st.integers(2, 6), st.integers(0, 99))
def test_images_of_a_group_are_in_one_fold_and_no_fold_holds_all(
    n_groups: int, n_folds: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(n_groups), rng.integers(0, n_groups, 30)])
    labels = rng.integers(0, 3, len(groups))
    folds = stratified_folds(labels, n_folds, rng, groups)
    assert all(len(np.unique(folds[groups == group])) == 1 for group in range(n_groups))
    assert len(np.unique(folds)) > 1


def test_groups_of_one_image_change_nothing() -> None:
    labels = np.repeat([0, 1, 2], [50, 7, 3])
    alone = stratified_folds(labels, 5, np.random.default_rng(0), np.arange(60))
    np.testing.assert_array_equal(alone, stratified_folds(labels, 5, np.random.default_rng(0)))
