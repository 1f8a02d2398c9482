"""Remaining time of a running search."""

import io

import pytest
from rich.console import Console

from tests.search.trials import make_trial
from tune_paddy.core.timing.forecast import TimeForecast
from tune_paddy.search.timing.watch import TimeWatch


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def train(watch: TimeWatch, clock: Clock, member: str, seconds: float, outcome: str = "finished") -> None:
    watch.trial_changed(make_trial(member), "running", {})
    clock.now += seconds
    watch.trial_changed(make_trial(member), outcome, {})


def test_the_remaining_time_is_printed_once_after_the_first_round() -> None:
    written, clock = io.StringIO(), Clock()
    watch = TimeWatch(Console(file=written, width=100), total=4, at_once=1, clock=clock)
    for member in ("0000-a", "0001-b"):
        train(watch, clock, member, 600.0)
    assert written.getvalue() == "3 members left: about 30 min (30 min to 30 min)\n"


def test_a_failed_member_is_done_but_measures_nothing() -> None:
    clock = Clock()
    watch = TimeWatch(None, total=3, at_once=1, clock=clock)
    train(watch, clock, "0000-a", 5.0, outcome="failed")
    assert watch.remaining() is None
    train(watch, clock, "0001-b", 100.0)
    span = watch.remaining()
    assert span is not None
    assert span.median == pytest.approx(100.0)


def test_a_forecast_gives_the_remaining_time_before_any_member_has_ended() -> None:
    forecast = TimeForecast((50.0,), 2)
    span = TimeWatch(None, total=4, at_once=2, done=2, forecast=forecast).remaining()
    assert span is not None
    assert span.median == pytest.approx(50.0)


def test_a_finished_search_has_no_remaining_time() -> None:
    assert TimeWatch(None, total=2, at_once=2, done=2, forecast=TimeForecast((1.0,), 2)).remaining() is None
