import numpy as np
import pytest

from tests.core.conftest import RealPool, random_pool
from tune_paddy.core.metrics import log_loss
from tune_paddy.core.selection import log_linear
from tune_paddy.core.selection.log_linear import log_linear_select
from tune_paddy.core.selection.plain import best_single, greedy_select


def test_the_gradient_is_that_of_the_loss() -> None:
    """The reference is central differences; internal float32 allows no smaller step."""
    probs, labels = random_pool(0, views=5)
    logs = log_linear._relative_logs(probs, labels).astype(np.float64)
    at = np.array([0.1, 0.3, 0.05, 0.2, 0.4])

    def both(values: np.ndarray) -> tuple[float, np.ndarray]:
        return log_linear._loss_and_gradient(values, logs, len(labels), 0.3)

    _, gradient = both(at)
    steps = 1e-3 * np.eye(5)
    ahead, behind = (np.array([both(at + sign * step)[0] for step in steps]) for sign in (1, -1))
    np.testing.assert_allclose(gradient, (ahead - behind) / 2e-3, rtol=1e-3, atol=1e-3)


def test_the_loss_is_the_log_loss_of_the_blend_and_two_penalties(real_pool: RealPool) -> None:
    """The fit minimises the loss of the blend: weights and temperature split the same vector."""
    selection = log_linear_select(real_pool.probs, real_pool.labels)
    values = selection.weights / selection.temperature
    logs = log_linear._relative_logs(real_pool.probs, real_pool.labels)
    loss, _ = log_linear._loss_and_gradient(values, logs, len(real_pool.labels), 0.3)
    penalties = 0.3 * np.sum((values - values.mean()) ** 2)
    penalties += log_linear.SCALE * np.log(values.sum()) ** 2 / len(real_pool.labels)
    assert loss - penalties == pytest.approx(selection.score, abs=1e-5)


def test_weights_are_a_distribution_without_tiny_values(real_pool: RealPool) -> None:
    """Views of negligible weight are dropped, so that inference need not run them."""
    weights = log_linear_select(real_pool.probs, real_pool.labels).weights
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert 1 < np.count_nonzero(weights) < len(weights)


def test_copies_share_the_weight_of_one(real_pool: RealPool) -> None:
    """The penalty spreads weight over identical views."""
    probs = np.concatenate([real_pool.probs[:6], real_pool.probs[:1]])
    weights = log_linear_select(probs, real_pool.labels).weights
    assert weights[0] == pytest.approx(weights[6], rel=1e-2)


def test_few_images_move_the_weights_less_far_from_equal_ones(real_pool: RealPool) -> None:
    """The same images twice say the same of each view, with twice the evidence."""
    probs, labels = real_pool.probs[:8, :100], real_pool.labels[:100]
    spreads = [
        log_linear_select(np.tile(probs, (1, times, 1)), np.tile(labels, times)).weights.std()
        for times in (1, 4, 16)
    ]
    assert spreads == sorted(spreads)
    assert spreads[0] < spreads[-1]


def test_many_views_that_are_alike_are_all_kept(real_pool: RealPool) -> None:
    """Each has less than the smallest share that a view keeps among fewer."""
    probs = np.repeat(real_pool.probs[:1], 150, axis=0)
    weights = log_linear_select(probs, real_pool.labels).weights
    np.testing.assert_allclose(weights, 1 / 150, rtol=1e-2)


def test_the_fit_is_better_on_new_images(real_pool: RealPool) -> None:
    """On real classifiers it beats greedy selection and the best view on unseen images."""
    test, labels = real_pool.test_probs, real_pool.test_labels
    losses = [
        log_loss(select(real_pool.probs, real_pool.labels).blend(test), labels)
        for select in (log_linear_select, greedy_select, best_single)
    ]
    assert losses[0] < losses[1] < losses[2]
