import numpy as np
import pytest
from scipy.stats import binom

from tests.core.conftest import RealPool
from tune_paddy.core.diagnostics import (
    Found,
    chance_of_at_most,
    confusion,
    count_found,
    disagreement,
    recalls,
    reliability,
)
from tune_paddy.core.metrics import balanced_error, error_rate


def test_disagreement_is_a_distance(real_pool: RealPool) -> None:
    """A view agrees with itself, the matrix is symmetric, and the triangle inequality holds."""
    shares = disagreement(real_pool.probs, real_pool.labels)
    assert shares.shape == (24, 24)
    assert not shares.diagonal().any()
    np.testing.assert_array_equal(shares, shares.T)
    assert (shares[:, None, :] <= shares[:, :, None] + shares[None] + 1e-12).all()


def test_disagreement_with_the_truth_is_the_error_rate(real_pool: RealPool) -> None:
    """A view that is always right shows the others' errors."""
    truth = np.eye(10, dtype=np.float32)[real_pool.labels]
    shares = disagreement(np.concatenate([real_pool.probs, truth[None]]), real_pool.labels)
    expected = [error_rate(view, real_pool.labels) for view in real_pool.probs]
    np.testing.assert_allclose(shares[-1, :-1], expected)


def test_rows_of_the_confusion_are_true_classes_and_its_diagonal_is_correct(real_pool: RealPool) -> None:
    """Every image is counted once."""
    probs, labels = real_pool.probs[3], real_pool.labels
    counts = confusion(probs, labels)
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(labels))
    np.testing.assert_array_equal(counts.sum(axis=0), np.bincount(probs.argmax(axis=1), minlength=10))
    assert 1 - np.trace(counts) / len(labels) == pytest.approx(error_rate(probs, labels))
    assert counts[2, 8] == ((labels == 2) & (probs.argmax(axis=1) == 8)).sum()


def test_the_mean_recall_is_the_balanced_accuracy(real_pool: RealPool) -> None:
    """Each recall lies within its interval, which is wider for fewer images."""
    found = recalls(count_found(real_pool.probs[3], real_pool.labels))
    mean = np.mean([recall.share for recall in found.values()])
    assert 1 - mean == pytest.approx(balanced_error(real_pool.probs[3], real_pool.labels))
    assert all(0 <= recall.low <= recall.share <= recall.high <= 1 for recall in found.values())
    few, many = (recalls(Found(np.array([9 * n, 1]), np.array([10 * n, 1])))[0] for n in (1, 100))
    assert few.share == many.share == 0.9
    assert few.high - few.low > 5 * (many.high - many.low)


def test_labels_drawn_from_the_probabilities_are_calibrated() -> None:
    """Their calibration error is noise; sharpened probabilities have a large one."""
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(4), 20_000)
    labels = (rng.random((20_000, 1)) > probs.cumsum(axis=1)).sum(axis=1)
    honest = reliability(probs, labels)
    sharp = probs**3 / (probs**3).sum(axis=1, keepdims=True)
    assert honest.calibration_error < 0.01
    assert reliability(sharp, labels).calibration_error > 0.1


def test_bins_hold_every_image_once() -> None:
    """Bins without images are left out; a probability of one belongs to the last bin."""
    probs = np.array([[1.0, 0.0], [0.95, 0.05], [0.55, 0.45], [0.4, 0.6]])
    bins = reliability(probs, np.array([0, 1, 0, 1]))
    assert bins.images.tolist() == [1, 1, 2]
    np.testing.assert_allclose(bins.confidence, [0.55, 0.6, 0.975])
    assert bins.accuracy.tolist() == [1, 1, 0.5]
    assert bins.calibration_error == pytest.approx((0.45 + 0.4 + 2 * 0.475) / 4)


@pytest.mark.parametrize(("hits", "trials", "share"), [(0, 3, 0.5), (40, 2000, 0.03), (9_800, 10_000, 0.98)])
def test_the_chance_is_that_of_the_binomial_distribution(hits: int, trials: int, share: float) -> None:
    assert chance_of_at_most(hits, trials, share) == pytest.approx(binom.cdf(hits, trials, share), rel=1e-6)
