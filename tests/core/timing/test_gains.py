"""What further time is expected to bring an ensemble, from the curve of its loss."""

import math
from dataclasses import replace

import pytest

from tune_paddy.core.timing.gains import FLAT, LEAST_POINTS, MODEL, Point, expect, horizon

FALLING = [(10.0 * n, 0.8 * n**-0.5) for n in range(1, 17)]
STILL = [(10.0 * n, 0.5) for n in range(1, 17)]


@pytest.mark.parametrize("n", range(LEAST_POINTS))
def test_nothing_is_expected_from_fewer_than_four_members(n: int) -> None:
    assert expect(FALLING[:n], 1000.0) is None
    assert expect(FALLING[:LEAST_POINTS], 1000.0) is not None


def test_a_curve_that_falls_by_the_same_share_in_each_doubling_goes_on_so_without_decay_and_prior() -> None:
    model = replace(MODEL, decay=1.0, prior_doublings=0.0)
    later = expect(FALLING, 640.0, model)
    assert later is not None
    assert later.loss == pytest.approx(0.8 * 64**-0.5)


@pytest.mark.parametrize("curve", [FALLING, STILL, FALLING[:4], [*FALLING, (170.0, 0.3), (180.0, 0.25)]])
@pytest.mark.parametrize("seconds", [1.0, 200.0, 400.0, 1e6])
def test_the_interval_contains_the_expected_loss_and_ends_at_the_present_one(
    curve: list[Point], seconds: float
) -> None:
    later = expect(curve, seconds)
    assert later is not None
    assert 0 < later.low <= later.loss <= later.high <= later.now == curve[-1][1]


def test_more_time_is_expected_to_bring_less_loss_and_a_wider_interval() -> None:
    first, second = expect(FALLING, 200.0), expect(FALLING, 400.0)
    assert first is not None
    assert second is not None
    assert second.loss < first.loss
    assert second.high - second.low > first.high - first.low


def test_the_unit_of_time_and_the_scale_of_the_loss_change_nothing() -> None:
    scaled = expect([(60 * seconds, 3 * loss) for seconds, loss in FALLING], 60 * 400.0)
    plain = expect(FALLING, 400.0)
    assert scaled is not None
    assert plain is not None
    assert scaled.low / 3 == pytest.approx(plain.low)
    assert scaled.loss / 3 == pytest.approx(plain.loss)


def test_a_curve_is_flat_if_even_the_favourable_end_gains_less_than_one_percent() -> None:
    still, falling = expect(STILL, 320.0), expect(FALLING, 320.0)
    assert still is not None
    assert falling is not None
    assert still.is_flat
    assert still.low > (1 - FLAT) * 0.5
    assert not falling.is_flat


def test_a_loss_of_zero_and_times_of_zero_are_no_errors() -> None:
    perfect = expect([(10.0 * n, 0.0) for n in range(1, 6)], 100.0)
    assert perfect is not None
    assert perfect.loss == 0
    assert perfect.is_flat, "nothing is left to gain"
    assert expect([(0.0, 0.5)] * 5, 100.0) is None
    jump = expect([(0.0, 0.5), *FALLING[:4]], 100.0)
    assert jump is not None
    assert math.isfinite(jump.low)


@pytest.mark.parametrize(("end", "until"), [(None, 200.0), (120.0, 200.0), (900.0, 900.0)])
def test_a_gain_must_show_by_the_end_or_in_as_long_again(end: float | None, until: float) -> None:
    """Otherwise every search would count as flat shortly before its end."""
    assert horizon(end, 100.0) == until
