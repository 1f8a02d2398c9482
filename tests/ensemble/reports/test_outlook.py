"""What further time would bring a recorded search."""

import json

import pytest

from tests.ensemble.conftest import recorded
from tune_paddy.core.timing.gains import expect
from tune_paddy.ensemble.reports.outlook import expected_of, outlook_lines
from tune_paddy.tracking.ensembles import log_live_score
from tune_paddy.tracking.runs import RecordedRun, get_search
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store

POINTS = [(60.0 * n, 0.5 * 0.9**n) for n in range(1, 6)]


def search_of(minutes: float | None, outcome: str, **tags: str) -> RecordedRun:
    """A search with that time limit."""
    named = {f"tune_paddy.{name}": text for name, text in tags.items()}
    named["tune_paddy.settings"] = json.dumps({"minutes": minutes})
    return recorded("night", "search", outcome=outcome, tags=named)


@pytest.mark.parametrize(("minutes", "until"), [(None, 600.0), (5.1, 600.0), (4, 600.0), (20, 1200.0)])
@pytest.mark.parametrize("outcome", ["running", "interrupted"])
def test_a_loss_is_expected_at_the_end_of_the_time_or_in_as_long_again(
    outcome: str, minutes: float | None, until: float
) -> None:
    assert expected_of(search_of(minutes, outcome), POINTS) == expect(POINTS, until)


def test_the_reserve_of_an_ended_search_is_no_time_that_is_left() -> None:
    """With a limit of 6 minutes, the selection and the end of the epochs take the last one."""
    assert expected_of(search_of(6, "running"), POINTS) == expect(POINTS, 360.0)
    assert expected_of(search_of(6, "finished"), POINTS) == expect(POINTS, 600.0)


def test_an_interrupted_search_has_the_time_left_that_its_sessions_have_not_used() -> None:
    """They include the starts, which the curve leaves out."""
    assert expected_of(search_of(6, "interrupted", seconds="310"), POINTS) == expect(POINTS, 360.0)
    assert expected_of(search_of(6, "interrupted", seconds="350"), POINTS) == expect(POINTS, 600.0)


@pytest.mark.parametrize(("minutes", "until"), [(None, 600.0), (6, 600.0), (20, 1200.0)])
def test_a_search_that_ended_flat_has_the_expectation_that_ended_it(
    minutes: float | None, until: float
) -> None:
    assert expected_of(search_of(minutes, "finished", ended_by="flat"), POINTS) == expect(POINTS, until)


def test_a_search_without_a_curve_has_no_expected_loss() -> None:
    assert expected_of(recorded("night", "search"), []) is None


@pytest.mark.usefixtures("finished")  # `store` is a copy of its record
def test_a_recorded_curve_has_an_outlook_and_an_early_end_its_reason(store: Store) -> None:
    run = start_search(store, name="flat-curve", tags=SearchRecord(ended_by="flat").to_tags())
    for members, (seconds, loss) in enumerate(POINTS, 1):
        log_live_score(store, run, members, loss, loss / 10, seconds=seconds, new=True)
    first, second = outlook_lines(store, get_search(store, "flat-curve"))
    assert first == "Ended early by `stop_when_flat`: more time was not expected to pay"
    assert second.startswith("Greedy ensemble after 10.0 min of search: log loss 0.")
    assert second.endswith(" expected, 0.2952 so far, on the select split: optimistic")
