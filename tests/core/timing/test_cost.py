"""Seconds of a member from the seconds of its steps."""

from dataclasses import replace

import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.timing.cost import StepCost, Workload, epoch_seconds, member_seconds

COST = StepCost(train=0.1, frozen=0.05, predict=0.02, tta_pass=0.03, build=2.0, fit=0.04)


def test_each_step_counts_as_often_as_a_member_takes_it() -> None:
    config = MemberConfig(arch="any", epochs=3, freeze_epochs=1, subsample=0.5, tta=2)
    training = 50 * (1 * 0.05 + 3 * 0.1)
    predictions = 4 * 20 * 0.02 + (20 + 10) * (0.02 + 2 * 0.03)
    assert member_seconds(config, COST, Workload(100, 20, 10)) == pytest.approx(2 + training + predictions)


def test_folds_multiply_the_seconds_but_not_the_start() -> None:
    config = MemberConfig(arch="any")
    one = member_seconds(config, COST, Workload(100, 20, 10))
    assert member_seconds(config, COST, Workload(100, 20, 10, models=5), start=7.0) == pytest.approx(
        5 * one + 7
    )


@pytest.mark.parametrize("decode", [0.0, 0.5])
def test_the_model_of_a_fold_predicts_the_images_of_the_other_folds_once_more(decode: float) -> None:
    config, load = MemberConfig(arch="any", tta=2), Workload(100, 20, 10, models=5, decode=decode)
    taught = replace(load, others=80)
    more = member_seconds(config, COST, taught) - member_seconds(config, COST, load)
    assert more == pytest.approx(5 * 80 * (0.02 + decode))


@pytest.mark.parametrize(("cached", "passes"), [(True, 0), (False, 5 * 80)])
def test_a_frozen_member_takes_the_images_of_the_other_folds_from_a_cache(cached: bool, passes: int) -> None:
    config = MemberConfig(arch="any", schedule="frozen")
    load = Workload(80, 20, 10, models=5, cached=cached)
    more = member_seconds(config, COST, replace(load, others=80)) - member_seconds(config, COST, load)
    assert more == pytest.approx(passes * 0.02)


def test_images_outside_a_cache_are_read_in_each_epoch() -> None:
    config = MemberConfig(arch="any", epochs=2, schedule="one_cycle", subsample=1.0)
    held, read = (member_seconds(config, COST, Workload(100, 20, 10, decode=it)) for it in (0.0, 0.5))
    assert read - held == pytest.approx(0.5 * (2 * 120 + 30))


def test_a_head_that_begins_fitted_takes_the_features_of_each_training_image_and_a_fit() -> None:
    plain = MemberConfig(arch="any", subsample=0.5)
    fitted, load = plain.model_copy(update={"head": "fitted"}), Workload(100, 20, 10, decode=0.5)
    more = member_seconds(fitted, COST, load) - member_seconds(plain, COST, load)
    assert more == pytest.approx(50 * (0.02 + 0.04 + 0.5))


@pytest.mark.parametrize(("cached", "embedded"), [(True, 120), (False, 5 * 100)])
def test_folds_share_the_features_of_a_fitted_head_in_a_cache(cached: bool, embedded: int) -> None:
    plain = MemberConfig(arch="any", subsample=1.0)
    fitted, load = plain.model_copy(update={"head": "fitted"}), Workload(100, 20, 10, 5, cached=cached)
    more = member_seconds(fitted, COST, load) - member_seconds(plain, COST, load)
    assert more == pytest.approx(embedded * 0.02 + 5 * 100 * 0.04)


def test_a_scaled_cost_keeps_the_time_to_build() -> None:
    assert COST.scaled(3.0) == StepCost(*(pytest.approx(it) for it in (0.3, 0.15, 0.06, 0.09, 2.0, 0.12)))


def test_an_epoch_trains_on_the_members_images_and_predicts_the_select_split() -> None:
    config = MemberConfig(arch="any", subsample=0.5)
    assert epoch_seconds(config, COST, Workload(100, 20, 10)) == pytest.approx(50 * 0.1 + 20 * 0.02)


def test_an_averaged_network_predicts_beside_the_members_own() -> None:
    """After each epoch and at the end, without augmentation; its images are read once more."""
    config, load = MemberConfig(arch="any", epochs=3, freeze_epochs=1), Workload(100, 20, 10, decode=0.5)
    averaged = config.model_copy(update={"ema": 0.99})
    more = member_seconds(averaged, COST, load) - member_seconds(config, COST, load)
    assert more == pytest.approx((4 * 20 + 30) * (0.02 + 0.5))
    assert epoch_seconds(averaged, COST, load) - epoch_seconds(config, COST, load) == pytest.approx(20 * 0.52)
