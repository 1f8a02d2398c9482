"""Forecasts of the members of a running search."""

import math

import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.search.timing.paces import LEAST_SHARE, SAFETY, MemberPaces

WHOLE = MemberConfig(arch="a", epochs=12, freeze_epochs=0)
FROZEN = MemberConfig(arch="a", schedule="frozen")


def by_epochs(config: MemberConfig) -> float:
    """Return one unit for each epoch."""
    return float(config.total_epochs)


def test_without_a_known_speed_nothing_is_known_until_a_member_has_ended() -> None:
    paces = MemberPaces(by_epochs, in_seconds=False)
    assert paces.seconds(WHOLE) is None
    assert paces.fitted(WHOLE, 1.0) == WHOLE
    paces.learn(WHOLE, 120.0)
    assert paces.seconds(MemberConfig(arch="b", epochs=3, freeze_epochs=0)) == 30.0


def test_members_of_the_same_architecture_correct_a_forecast_before_others() -> None:
    paces = MemberPaces(by_epochs, in_seconds=True)
    assert paces.seconds(WHOLE) == 12.0
    for arch, seconds in (("b", 24.0), ("b", 24.0), ("a", 36.0)):
        paces.learn(WHOLE.model_copy(update={"arch": arch}), seconds)
    assert paces.seconds(WHOLE) == 36.0
    assert paces.seconds(WHOLE.model_copy(update={"arch": "c"})) == 24.0


def test_frozen_members_say_nothing_about_the_pace_of_others() -> None:
    paces = MemberPaces(by_epochs, in_seconds=True)
    paces.learn(FROZEN, 50.0)
    assert paces.seconds(WHOLE) == 12.0
    paces.learn(WHOLE, 12.0)
    assert (paces.seconds(FROZEN), paces.seconds(WHOLE)) == (50.0, 12.0)


def test_a_member_is_shortened_to_a_share_of_its_epochs_at_least() -> None:
    paces = MemberPaces(by_epochs, in_seconds=True)
    least = math.ceil(LEAST_SHARE * WHOLE.epochs)
    found = [paces.fitted(WHOLE, SAFETY * epochs) for epochs in (12, 7, least, least - 1)]
    assert [one and one.epochs for one in found] == [12, 7, least, None]


@pytest.mark.parametrize(
    ("config", "done"), [(FROZEN, None), (WHOLE, 0.0)], ids=["a frozen member", "a resumed member"]
)
def test_a_member_without_a_choice_of_epochs_is_never_shortened(
    config: MemberConfig, done: float | None
) -> None:
    paces = MemberPaces(by_epochs, in_seconds=True)
    assert paces.fitted(config, 0.9 * SAFETY * config.total_epochs, done) is None


def test_of_a_resumed_member_the_rest_of_its_epochs_counts() -> None:
    paces = MemberPaces(by_epochs, in_seconds=True)
    assert paces.fitted(WHOLE, SAFETY * 3.01, 0.75) == WHOLE


def test_nothing_begins_when_no_time_is_left() -> None:
    assert MemberPaces(lambda _: None, in_seconds=False).fitted(WHOLE, 0.0) is None
