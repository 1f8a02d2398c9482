"""What further time would bring a recorded search."""

import json

import pytest

from tests.ensemble.conftest import recorded
from tune_paddy.core.timing.gains import expect
from tune_paddy.ensemble.reports.outlook import expected_of, outlook_lines
from tune_paddy.tracking.ensembles import log_live_score
from tune_paddy.tracking.runs import get_search
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store

POINTS = [(60.0 * n, 0.5 * 0.9**n) for n in range(1, 6)]


@pytest.mark.parametrize(("minutes", "until"), [(None, 600.0), (5.1, 600.0), (4, 600.0), (20, 1200.0)])
def test_a_loss_is_expected_at_the_end_of_the_time_or_in_as_long_again(
    minutes: float | None, until: float
) -> None:
    tags = {"tune_paddy.settings": json.dumps({"minutes": minutes})}
    assert expected_of(recorded("night", "search", tags=tags), POINTS) == expect(POINTS, until)


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
