"""What further time would bring a search, in its state and in the figure of its live curve."""

from collections.abc import Sequence

from tune_paddy.core.timing.gains import Expected, Point, expect, horizon
from tune_paddy.data.system.text import duration, four_digits
from tune_paddy.ensemble.reports.wording import OPTIMISTIC
from tune_paddy.tracking.ensembles import read_live_points
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import FLAT, SearchRecord
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import LIVE_SECONDS

_LEFT = 1.05
"""Ratio of a search's time limit to the time that it has used above which some of that time is left."""


def expected_of(search: RecordedRun, points: Sequence[Point]) -> Expected | None:
    """Return the expected log loss at the end of a search's time limit, or after twice the time so far.

    The second holds where there is no limit, its time is used up, or the search has ended: what is left then
    belongs to the selection, or no member fits it. If the search ended flat, it is what ended the search.

    Args:
        search: Run of the search.
        points: Its live curve, in the order of time.

    Returns:
        None: too few points.
    """
    record, last = SearchRecord.from_run(search), points[-1][0] if points else 0.0
    end = 60 * ((record.settings or {}).get("minutes") or 0.0)
    if record.ended_by == FLAT:
        return expect(points, horizon(end, last))
    used = max(last, record.seconds or 0.0)
    is_left = search.outcome != "finished" and end > _LEFT * used
    return expect(points, end if is_left else 2 * last)


def outlook_lines(store: Store, search: RecordedRun) -> list[str]:
    """Return what further time would bring a search, and why it ended early if it did, one line each.

    Args:
        store: The record.
        search: Run of the search.

    Raises:
        TunePaddyError: MLflow failed.
    """
    timed = read_live_points(store, search.run_id) if LIVE_SECONDS in search.metrics else {}
    expected = expected_of(search, list(timed.values()))
    lines = []
    if SearchRecord.from_run(search).ended_by == FLAT:
        lines.append("Ended early by `stop_when_flat`: more time was not expected to pay")
    if expected is not None:
        span = f"({four_digits(expected.low)} to {four_digits(expected.high)})"
        lines.append(
            f"Greedy ensemble after {duration(expected.seconds)} of search: log loss "
            f"{four_digits(expected.loss)} {span} expected, {four_digits(expected.now)} so far, {OPTIMISTIC}"
        )
    return lines
