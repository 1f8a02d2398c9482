"""What an earlier search of the same images says about a new one, before that trains."""

from collections.abc import Sequence

from tune_paddy.core.timing.gains import LEAST_POINTS, Point, expect
from tune_paddy.data.system.text import duration, four_digits
from tune_paddy.search.plan import SearchPlan
from tune_paddy.tracking.ensembles import read_live_points
from tune_paddy.tracking.runs import RecordedRun, list_searches
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.layout import LIVE_SECONDS

MOST_READ = 3
"""Maximum number of earlier searches whose curve is read, the newest first."""


def earlier_search_line(store: Store, plan: SearchPlan, split: str) -> str | None:
    """Return in one line what the newest search with the same split reached, and when.

    Searches with another split have other losses; so has a rehearsal with stand-ins.

    Args:
        store: The record.
        plan: Plan of the new search, whose time limit the expectation is for.
        split: Fingerprint of its select split.

    Returns:
        None: there is no such search, or its curve has too few points.

    Raises:
        TunePaddyError: MLflow failed.
    """
    alike = [search for search in list_searches(store) if _is_alike(search, plan, split)]
    for search in alike[: -MOST_READ - 1 : -1]:
        points = [point for _, point in sorted(read_live_points(store, search.run_id).items())]
        if len(points) >= LEAST_POINTS:
            return _line(search.name, points, plan.settings.minutes)
    return None


def _is_alike(search: RecordedRun, plan: SearchPlan, split: str) -> bool:
    record = SearchRecord.from_run(search)
    same = (record.split, record.stand_ins) == (split, plan.space.stands_in)
    return same and LIVE_SECONDS in search.metrics and not record.refit_of and search.name != plan.name


def _line(name: str, points: Sequence[Point], minutes: float | None) -> str:
    seconds, loss = points[-1]
    reached = f"log loss {four_digits(loss)} after {duration(seconds)}"
    return (
        f"An earlier search of these images ({name}) reached {reached}{_later(points, minutes)}: optimistic"
    )


def _later(points: Sequence[Point], minutes: float | None) -> str:
    """Return the loss of a curve after a number of minutes, measured or expected; empty without a number."""
    if minutes is None:
        return ""
    when = duration(60 * minutes)
    before = [loss for seconds, loss in points if seconds <= 60 * minutes]
    if len(before) < len(points):
        return f"; after {when} it had {four_digits(before[-1])}" if before else f"; it had none after {when}"
    expected = expect(points, 60 * minutes)
    if expected is None:
        return ""
    span = f"({four_digits(expected.low)} to {four_digits(expected.high)})"
    return f"; expected after {when}: {four_digits(expected.loss)} {span}"
