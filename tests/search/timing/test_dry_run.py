"""What a dry run says about the time of a search."""

from dataclasses import replace

from tune_paddy.core.config import SearchSettings
from tune_paddy.core.timing.forecast import TimeForecast
from tune_paddy.search.timing.dry_run import SearchTime

MADE = SearchTime(
    TimeForecast((60.0,), 1), 20, timed=1, kinds=1, skipped=0, settings=SearchSettings(minutes=10), start=5.0
)


def test_the_number_of_members_that_the_time_buys_is_told() -> None:
    """Of 600 s, 5 go to the start, 18 to running epochs and 25 to the selection: 552 are left."""
    assert MADE.lines()[1:] == ["`minutes` is 10: about 9 members end in time (9 to 9)"]


def test_a_resumed_search_has_the_time_that_its_sessions_have_left() -> None:
    assert replace(MADE, spent=300.0).lines()[1:] == ["`minutes` is 10: about 4 members end in time (4 to 4)"]


def test_nothing_is_told_if_all_members_end_in_time_or_if_there_is_no_limit() -> None:
    assert len(replace(MADE, total=3).lines()) == 1
    assert len(replace(MADE, settings=SearchSettings()).lines()) == 1
