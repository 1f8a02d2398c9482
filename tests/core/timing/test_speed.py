"""Costs that are scaled from the timed network that is closest in operations."""

import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.timing.cost import StepCost
from tune_paddy.core.timing.speed import TimedNetwork, cost_by_operations

TRAINED = TimedNetwork(2.0, False, StepCost(6.0, 3.0, 2.0, 2.5, build=1.0))
FROZEN = TimedNetwork(2.0, True, StepCost(2.5, 0.0, 2.0, 2.5, build=1.0, fit=0.5))
MEMBER = MemberConfig(arch="any")
FEATURES = MemberConfig(arch="any", schedule="frozen", flip="horizontal")


def test_a_network_of_the_same_sort_is_scaled_though_another_is_closer() -> None:
    far = TimedNetwork(20.0, False, StepCost(70.0, 30.0, 20.0, 25.0, build=2.0))
    assert cost_by_operations(MEMBER, 2.0, [FROZEN, far]).train == pytest.approx(7.0)
    assert cost_by_operations(FEATURES, 4.0, [FROZEN, TRAINED]) == StepCost(5.0, 0.0, 4.0, 5.0, 1.0, fit=0.5)


def test_of_a_network_of_the_other_sort_only_predictions_count() -> None:
    """A frozen member's fit is no training step, and a training step embeds nothing."""
    assert cost_by_operations(MEMBER, 4.0, [FROZEN]) == StepCost(12.0, 4.0, 4.0, 5.0, 1.0, fit=0.5)
    assert cost_by_operations(FEATURES, 4.0, [TRAINED]) == StepCost(4.0, 0.0, 4.0, 5.0, 1.0)


def test_the_fit_of_a_head_is_that_of_the_closest_network_whose_fit_was_timed() -> None:
    """A member that begins with a fitted head asks for it, and larger images do not change it."""
    far = TimedNetwork(50.0, True, StepCost(60.0, 0.0, 50.0, 60.0, build=1.0, fit=0.7))
    fitted = MemberConfig(arch="any", head="fitted")
    assert cost_by_operations(fitted, 4.0, [TRAINED, FROZEN, far]).fit == 0.5
    assert cost_by_operations(fitted, 40.0, [TRAINED, FROZEN, far]).fit == 0.7


def test_without_a_timed_network_the_cost_is_relative() -> None:
    assert cost_by_operations(FEATURES, 3.0, []) == StepCost(3.0, 0.0, 3.0, 3.0, build=0.0)
    assert cost_by_operations(MEMBER, 3.0, []) == StepCost(9.0, 3.0, 3.0, 3.0, build=0.0)
