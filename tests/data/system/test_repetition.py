"""Calls that are repeated while a place is away, and threads with less patience."""

import itertools

import pytest

from tests.tracking.test_client import FakeTime, outcomes
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.patience import Patience, impatient
from tune_paddy.data.system.repetition import Failure, pauses, repeated


def call(time: FakeTime, place: str, *results: object, seconds: float = 1000) -> object:
    """Call a function with these results, whose errors may pass."""
    return repeated(
        outcomes(*results),
        place,
        kinds=(OSError,),
        judge=lambda error: Failure(f"{place}: {error}", seconds),
        clock=time.clock,
        sleep=time.sleep,
    )


def test_a_thread_that_gave_up_one_place_still_waits_for_others() -> None:
    time = FakeTime()
    patience = Patience(clock=time.clock)
    patience.end_in(5)
    with patience.applied():
        with pytest.raises(TunePaddyError, match="record: away"):
            call(time, "record", *[OSError("away")] * 100)
        with pytest.raises(TunePaddyError, match="record: away"):
            call(time, "record", "an answer")
        assert call(time, "storage", "an answer") == "an answer"


def test_nothing_is_repeated_in_an_impatient_block() -> None:
    time = FakeTime()
    with impatient(), pytest.raises(TunePaddyError, match="storage: away"):
        call(time, "storage", OSError("away"), "an answer")
    assert time.now == 0
    assert call(time, "storage", OSError("away"), "an answer") == "an answer"


def test_threads_that_wait_for_the_same_place_say_so_once(caplog: pytest.LogCaptureFixture) -> None:
    time = FakeTime()
    with Patience(clock=time.clock).applied():
        for place in ("storage", "storage", "record"):
            call(time, place, *[OSError("away")] * 9, "an answer")
    assert caplog.messages == [
        f"{place}: away; waiting for up to 16.7 min" for place in ("storage", "record")
    ]


def test_a_shared_patience_ends_with_its_owner_and_can_end_earlier() -> None:
    time = FakeTime()
    owner = Patience(clock=time.clock)
    owner.end_in(60)
    shared = owner.shared()
    assert shared.left() == owner.left() == 60
    shared.end_in(0)
    assert (shared.left(), owner.left()) == (0, 60)


def test_pauses_grow_to_a_limit_and_differ_between_callers() -> None:
    first, second = (list(itertools.islice(pauses(), 20)) for _ in range(2))
    assert first != second
    assert max(first[:2]) <= 1
    assert 4 <= min(first[10:]) <= max(first[10:]) <= 8
