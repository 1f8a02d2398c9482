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
    """For every single view, some point is as cheap and as good; losses fall along the points."""
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


def test_the_cost_of_the_selected_ensemble_comes_from_measured_times() -> None:
    """Three plain views at 10, 20 and 30 ms, 20 images, on a machine of half the speed; 1.5 M parameters."""
    pool = make_pool()
    selection = fixed_select(pool.select, pool.labels, PLAINS)
    frontier = find_frontier(pool, selection, SelectionOptions(speed_factor=2))
    assert frontier
    assert frontier.selected.members == 3
    assert frontier.selected.minutes == pytest.approx(2 * 20 * 0.06 / 60)
    assert frontier.selected.mib == pytest.approx(3 * 1.5e6 * 4 / 2**20)
    assert frontier.selected.log_loss == log_loss(selection.blend(pool.select), pool.labels)


def test_all_limits_except_the_minutes_apply() -> None:
    """At most one member; the minutes vary along the frontier."""
    pool = make_pool()
    options = SelectionOptions(max_members=1, max_minutes=1e-3)
    frontier = find_frontier(pool, fixed_select(pool.select, pool.labels, PLAINS), options)
    assert frontier
    assert {point.members for point in frontier.points} == {1}
    assert frontier.points[-1].minutes > 1e-3


def test_large_pools_are_reduced_without_losing_the_ends_of_the_frontier() -> None:
    """With 50 members, the frontier has the cheapest view and a point at least as good as the best view."""
    pool = make_pool(members=50)
    frontier = find_frontier(pool, fixed_select(pool.select, pool.labels, np.ones(100)), SelectionOptions())
    assert frontier
    assert frontier.points[0].minutes == min(single.minutes for single in frontier.singles)
    assert frontier.points[-1].log_loss <= min(single.log_loss for single in frontier.singles)


@pytest.mark.parametrize("missing", ["the test set", "a time"])
def test_without_measured_minutes_there_is_no_frontier(missing: str) -> None:
    pool = make_pool(tests=0 if missing == "the test set" else 20)
    if missing == "a time":
        unmeasured = replace(pool.views[0], params={}, metrics={})
        pool = replace(pool, views=(unmeasured, *pool.views[1:]))
    assert find_frontier(pool, fixed_select(pool.select, pool.labels, PLAINS), SelectionOptions()) is None
