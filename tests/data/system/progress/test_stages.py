from collections.abc import Callable

import pytest

from tune_paddy.data.system.progress.stages import Stage


def clock_of(*times: float) -> Callable[[], float]:
    """Return a clock that shows these times, one after the other."""
    return iter(times).__next__


@pytest.mark.parametrize(
    ("total", "done", "seconds", "words"),
    [
        (None, 0, 0.4, "selecting…"),
        (None, 0, 12.0, "selecting… 12 s"),
        (200, 0, 5.0, "selecting… 0 %, 5 s"),
        (200, 50, 30.0, "selecting… 25 %, 30 s, about 1.5 min left"),
        (200, 200, 30.0, "selecting… 100 %, 30 s"),
    ],
)
def test_a_stage_shows_its_share_its_time_and_the_time_left(
    total: int | None, done: int, seconds: float, words: str
) -> None:
    stage = Stage("selecting", total, clock_of(0.0, seconds), done)
    assert stage.words() == words
