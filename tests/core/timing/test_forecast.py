"""Time of a search from the seconds of its members."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.timing.forecast import TimeForecast, makespan

SECONDS = st.lists(st.floats(0.1, 1000), min_size=1, max_size=20)


@given(SECONDS, st.integers(1, 8))
def test_a_makespan_lies_between_the_even_share_and_the_sum(seconds: list[float], at_once: int) -> None:
    span = makespan(seconds, at_once)
    assert max(*seconds, sum(seconds) / at_once) <= span * (1 + 1e-9)
    assert span <= sum(seconds) * (1 + 1e-9)


def test_equal_members_take_as_many_rounds_as_needed() -> None:
    span = TimeForecast((60.0,), 2).total(5)
    assert (span.low, span.median, span.high) == pytest.approx((180.0, 180.0, 180.0))


def test_as_many_members_end_in_a_time_as_it_takes_them() -> None:
    """The time that a number of members takes is enough for that number, and no shorter one is."""
    forecast = TimeForecast((10.0, 30.0, 20.0, 20.0), 2)
    for n in (1, 3, 4):
        seconds = forecast.total(n).median
        assert forecast.number(seconds, n).median == n
        assert forecast.number(0.99 * seconds, n).median < n


def test_no_member_ends_in_no_time_and_no_more_than_there_are_in_a_long_one() -> None:
    forecast = TimeForecast((60.0,), 3, error=0.3)
    assert (forecast.number(-5.0, 7).high, forecast.number(1e9, 7).low) == (0.0, 7.0)


def test_an_error_of_the_forecast_widens_the_range() -> None:
    exact, rough = (TimeForecast((60.0,), 1, error=error).total(4) for error in (0.0, 0.3))
    assert rough.high - rough.low > exact.high - exact.low
    assert rough.low < 240 < rough.high


def test_nothing_known_is_no_forecast() -> None:
    with pytest.raises(ValueError, match="without a forecast"):
        TimeForecast((), 2).total(3)


def test_known_members_count_as_they_are_and_others_are_drawn_from_them() -> None:
    known = TimeForecast((10.0, 30.0, 50.0), 1)
    assert (known.total(3).low, known.total(3).high) == pytest.approx((90.0, 90.0))
    assert 90 + 10 <= known.total(4).low <= known.total(4).high <= 90 + 50


def test_members_that_come_first_say_nothing_about_those_that_are_sampled() -> None:
    """A search may begin with many frozen members, which take the least time."""
    known = TimeForecast((1.0, 1.0, 1.0, 60.0), 1, first=3)
    assert (known.total(6).low, known.total(6).high) == pytest.approx((183.0, 183.0))
    assert TimeForecast((1.0,), 1, first=1).total(3).median == pytest.approx(3.0)
