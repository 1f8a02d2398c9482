"""The time budget of a search."""

import math

import pytest

from tune_paddy.search.timing.budget import (
    LEAST_RESERVE,
    MOST_RESERVE,
    OF_START,
    STOPPING,
    UNLIMITED,
    TimeBudget,
)


@pytest.mark.parametrize("minutes", [0.5, 3, 60, 480, 5 * 24 * 60])
def test_the_training_ends_in_order_and_leaves_time_for_the_selection(minutes: float) -> None:
    budget = TimeBudget(10.0, 60 * minutes, opened=10.0, clock=lambda: 10.0)
    assert 10.0 < budget.training_end < budget.last_end < 10.0 + 60 * minutes
    assert budget.reserve >= min(LEAST_RESERVE, 60 * minutes / 4)


@pytest.mark.parametrize("minutes", [60, 480, 5 * 24 * 60])
def test_at_most_a_tenth_of_an_hour_or_more_is_kept_from_training(minutes: float) -> None:
    budget = TimeBudget(0.0, 60 * minutes, clock=lambda: 0.0)
    assert budget.left() >= 0.9 * 60 * minutes


def test_a_busy_machine_which_starts_slowly_gets_more_time_for_the_selection() -> None:
    slow, slower = (TimeBudget(0.0, 3600.0, opened=seconds).reserve for seconds in (500.0, 1e4))
    assert (slow, slower) == (STOPPING + 500.0 * OF_START, STOPPING + MOST_RESERVE)


def test_a_budget_counts_from_the_start_of_the_command() -> None:
    budget = TimeBudget(0.0, 600.0, clock=lambda: 600.0)
    assert budget.expired
    assert budget.overdue
    assert budget.left() < 0


def test_without_a_limit_nothing_expires() -> None:
    assert UNLIMITED.left() == math.inf
    assert not UNLIMITED.expired
    assert not UNLIMITED.overdue
