from dataclasses import replace

import numpy as np
import pytest

from tests.ensemble.conftest import make_pool
from tune_paddy.core.metrics import log_loss
from tune_paddy.core.selection.plain import fixed_select
from tune_paddy.ensemble.frontier import find_frontier
from tune_paddy.ensemble.options import SelectionOptions

PLAINS = [1.0, 0.0] * 3


def test_no_view_lies_below_the_frontier() -> None:
    """Every view by itself is at least as dear or as bad as some point, and the points improve."""
    pool = make_pool()
    frontier = find_frontier(pool, fixed_select(pool.select, pool.labels, PLAINS), SelectionOptions())
    assert frontier
    minutes = [point.minutes for point in frontier.points]
    losses = [point.log_loss for point in frontier.points]
    assert minutes == sorted(minutes)
    assert losses == sorted(losses, reverse=True)
    for single in frontier.singles:
        assert any(
            point.minutes <= single.minutes and point.log_loss <= single.log_loss + 1e-5
            for point in frontier.points
        )


def test_the_selected_ensemble_is_priced_as_measured() -> None:
    """Three plain views at 10, 20 and 30 ms, 20 images, on a machine of half the speed; 1.5 M parameters."""
    pool = make_pool()
    selection = fixed_select(pool.select, pool.labels, PLAINS)
    frontier = find_frontier(pool, selection, SelectionOptions(speed_factor=2))
    assert frontier
    assert frontier.selected.members == 3
    assert frontier.selected.minutes == pytest.approx(2 * 20 * 0.06 / 60)
    assert frontier.selected.mib == pytest.approx(3 * 1.5e6 * 4 / 2**20)
    assert frontier.selected.log_loss == log_loss(selection.blend(pool.select), pool.labels)


def test_other_limits_hold() -> None:
    """One member at most; the minutes are what is varied."""
    pool = make_pool()
    options = SelectionOptions(max_members=1, max_minutes=1e-3)
    frontier = find_frontier(pool, fixed_select(pool.select, pool.labels, PLAINS), options)
    assert frontier
    assert {point.members for point in frontier.points} == {1}
    assert frontier.points[-1].minutes > 1e-3


def test_large_pools_are_cut_without_losing_the_ends() -> None:
    """The cheapest view and what is better than the best one are on the frontier of fifty members."""
    pool = make_pool(members=50)
    frontier = find_frontier(pool, fixed_select(pool.select, pool.labels, np.ones(100)), SelectionOptions())
    assert frontier
    assert frontier.points[0].minutes == min(single.minutes for single in frontier.singles)
    assert frontier.points[-1].log_loss <= min(single.log_loss for single in frontier.singles)


@pytest.mark.parametrize("missing", ["the test set", "a time"])
def test_without_measured_minutes_there_is_none(missing: str) -> None:
    pool = make_pool(tests=0 if missing == "the test set" else 20)
    if missing == "a time":
        unmeasured = replace(pool.views[0], info={})
        pool = replace(pool, views=(unmeasured, *pool.views[1:]))
    assert find_frontier(pool, fixed_select(pool.select, pool.labels, PLAINS), SelectionOptions()) is None
