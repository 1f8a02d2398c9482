import numpy as np
import pytest

from tune_paddy.core.errors import InputError
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


def test_a_class_of_one_is_refused() -> None:
    """One image cannot be on both sides."""
    with pytest.raises(InputError, match="class 1 has a single labelled image"):
        stratified_folds(np.array([0, 0, 1]), 2, np.random.default_rng(0))
