import numpy as np
import pytest

from tests.core.conftest import RealPool
from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.core.pooling import DOUBT, pool, soften


def test_the_mean_is_the_weighted_mean(real_pool: RealPool) -> None:
    """The mean is computed in float64, whatever the pool's type."""
    weights = np.random.default_rng(0).dirichlet(np.ones(24))
    expected = np.einsum("v,vic->ic", weights, real_pool.probs.astype(np.float64))
    np.testing.assert_allclose(pool(real_pool.probs, weights), expected, rtol=1e-12)


def test_the_log_linear_pool_is_the_weighted_geometric_mean() -> None:
    """It is normalised, and `DOUBT` is mixed into the views."""
    probs = np.array([[[0.9, 0.1]], [[0.4, 0.6]]])
    doubted = (1 - DOUBT) * probs + DOUBT / 2
    product = doubted[0] ** 0.75 * doubted[1] ** 0.25
    pooled = pool(probs, np.array([0.75, 0.25]), rule="log_linear")
    np.testing.assert_allclose(pooled, product / product.sum())


def test_no_single_view_has_a_veto() -> None:
    """One view with probability 0 for the true class does not outvote three that are right."""
    probs = np.array([[[1.0, 0.0]], [[0.05, 0.95]], [[0.05, 0.95]], [[0.05, 0.95]]], np.float32)
    assert pool(probs, np.full(4, 0.25), rule="log_linear")[0].argmax() == 1


@pytest.mark.parametrize("rule", ["mean", "log_linear"])
def test_every_rule_gives_distributions(real_pool: RealPool, rule) -> None:
    """Rows sum to 1, at any temperature."""
    pooled = pool(
        real_pool.probs,
        np.full(24, 1 / 24),
        rule=rule,
        temperature=0.7,
        member_temperatures=np.linspace(0.5, 2, 24),
    )
    assert pooled.min() >= 0
    np.testing.assert_allclose(pooled.sum(axis=1), 1)


def test_views_without_weight_are_not_read(real_pool: RealPool) -> None:
    """Views with weight 0 may hold NaN: a memory-mapped pool is read only where needed."""
    probs = real_pool.probs.copy()
    probs[1:] = np.nan
    assert np.array_equal(pool(probs, np.eye(24)[0]), real_pool.probs[0].astype(np.float64))


def test_a_temperature_changes_confidence_and_not_the_answer(real_pool: RealPool) -> None:
    """Temperatures below 1 sharpen, those above 1 soften, and the order of the classes stays."""
    probs = real_pool.probs[10]
    for temperature in (0.5, 2.0):
        changed = soften(probs, temperature)
        assert error_rate(changed, real_pool.labels) == error_rate(probs, real_pool.labels)
        assert (changed.max(axis=1).mean() > probs.max(axis=1).mean()) == (temperature < 1)


def test_two_temperatures_compose() -> None:
    """Softening by 2 and sharpening by 0.5 cancel out."""
    probs = np.random.default_rng(0).dirichlet(np.ones(5), 20)
    np.testing.assert_allclose(soften(soften(probs, 2.0), 0.5), probs)
    assert log_loss(soften(probs, 1.0), np.zeros(20, int)) == log_loss(probs, np.zeros(20, int))
