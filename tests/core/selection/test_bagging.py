import numpy as np
import pytest

from tests.core.conftest import RealPool
from tune_paddy.core.metrics import log_loss
from tune_paddy.core.pooling import pool
from tune_paddy.core.scores.temperature import fit_member_temperatures
from tune_paddy.core.selection.bagging import bagged_calibrated_select, bagged_errors_select, bagged_select
from tune_paddy.core.selection.plain import greedy_select


@pytest.mark.parametrize("select", [bagged_select, bagged_errors_select, bagged_calibrated_select])
def test_the_seed_alone_decides(real_pool: RealPool, select) -> None:
    """The same seed gives the same bytes; another seed gives other halves."""
    first, again, other = (select(real_pool.probs, real_pool.labels, seed=seed) for seed in (1, 1, 2))
    assert first.weights.tobytes() == again.weights.tobytes()
    assert first.weights.tolist() != other.weights.tolist()
    assert first.weights.sum() == pytest.approx(1)


def test_bags_spread_the_weight_further(real_pool: RealPool) -> None:
    """Views that a single greedy run leaves out get their share."""
    bagged = bagged_select(real_pool.probs, real_pool.labels)
    greedy = greedy_select(real_pool.probs, real_pool.labels)
    assert np.count_nonzero(bagged.weights) > np.count_nonzero(greedy.weights)


def test_the_final_temperature_lowers_the_log_loss(real_pool: RealPool) -> None:
    """The mean of views chosen for few errors is underconfident; sharpening corrects that."""
    selection = bagged_errors_select(real_pool.probs, real_pool.labels)
    assert selection.temperature < 1
    assert selection.score < log_loss(pool(real_pool.probs, selection.weights), real_pool.labels)


def test_calibrated_views_keep_their_own_temperatures(real_pool: RealPool) -> None:
    """The blend of other images softens each view as on the select split."""
    selection = bagged_calibrated_select(real_pool.probs, real_pool.labels)
    assert selection.member_temperatures is not None
    expected = fit_member_temperatures(real_pool.probs, real_pool.labels)
    assert selection.member_temperatures.tolist() == expected.tolist()


def test_a_pool_of_one_view_works(real_pool: RealPool) -> None:
    """A bag from one view is that view."""
    assert bagged_select(real_pool.probs[:1], real_pool.labels).weights.tolist() == pytest.approx([1])
