import numpy as np
import pytest

from tests.core.conftest import random_pool
from tune_paddy.core.metrics import EPS
from tune_paddy.core.selection.greedy_log_loss import LogLossScorer, true_class_rows


@pytest.mark.parametrize("images", [1, 63, 64, 65, 1023, 4097])
def test_products_equal_sums_of_logarithms(images: int) -> None:
    """The folding is exact for any length, odd ones included."""
    rows = np.random.default_rng(images).random((3, images)) ** 8
    expected = np.log(np.maximum(rows, EPS)).mean(axis=1)
    np.testing.assert_allclose(LogLossScorer(rows).mean_logs(np.arange(3)), expected, rtol=1e-12)


def test_products_of_zero_probabilities_do_not_underflow() -> None:
    """A view with probability 0 for every true class has the clipped loss, not infinity."""
    scorer = LogLossScorer(np.zeros((1, 2081)))
    assert scorer.best().score == pytest.approx(-np.log(EPS))


def test_rows_hold_the_true_class() -> None:
    """Each row holds the true-class probability of each image."""
    probs, labels = random_pool(0, views=4)
    rows = true_class_rows(probs, labels)
    for view in range(4):
        assert rows[view].tolist() == [float(p[c]) for p, c in zip(probs[view], labels, strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_no_candidate_exceeds_its_bound(seed: int) -> None:
    """The tangent lies above the logarithm in every round."""
    probs, labels = random_pool(seed, views=12)
    scorer = LogLossScorer(true_class_rows(probs, labels))
    for view in (3, 1, 3, 7):
        scorer.add(view)
        assert (scorer._bounds() >= scorer.mean_logs(np.arange(12))).all()
