"""What an earlier search of the same images says before a new one trains."""

from dataclasses import replace

import pytest

from tests.conftest import Finished
from tune_paddy.core.timing.gains import expect
from tune_paddy.search.timing.earlier_searches import earlier_search_line
from tune_paddy.tracking.ensembles import log_live_score
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.searches import start_search

POINTS = [(60.0 * n, 0.5 * 0.9**n) for n in range(1, 6)]


@pytest.fixture(scope="module", autouse=True)
def _curve(finished: Finished) -> None:
    """A search of another split than that of the shared one, with five members in five minutes."""
    run = start_search(finished.store, name="curve", tags=SearchRecord(split="of the curve").to_tags())
    for members, (seconds, loss) in enumerate(POINTS, 1):
        log_live_score(finished.store, run, members, loss, loss / 10, seconds=seconds, new=True)


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (None, ""),
        (0.5, "; it had none after 30 s"),
        (3.5, "; after 3.5 min it had 0.3645"),
        (60, "; expected after 1.0 h: {loss:.4f} ({low:.4f} to {high:.4f})"),
    ],
)
def test_its_loss_its_time_and_the_loss_at_the_new_limit_are_told(
    finished: Finished, minutes: float | None, words: str
) -> None:
    plan = replace(finished.plan, settings=finished.plan.settings.override({"minutes": minutes}))
    words = words.format(**vars(expect(POINTS, 3600.0)))
    assert earlier_search_line(finished.store, plan, "of the curve") == (
        f"An earlier search of these images (curve) reached log loss 0.2952 after 5.0 min{words}: optimistic"
    )


def test_other_splits_rehearsals_and_short_curves_are_passed_over(finished: Finished) -> None:
    plan = finished.plan
    rehearsal = replace(plan, space=replace(plan.space, stands_in=True))
    assert earlier_search_line(finished.store, plan, "of no search") is None
    assert earlier_search_line(finished.store, rehearsal, "of the curve") is None
    tags = SearchRecord(split="of the curve").to_tags()
    run = start_search(finished.store, name="short", tags=tags)
    log_live_score(finished.store, run, 1, 0.1, 0.1, seconds=60.0, new=True)
    assert "(curve)" in (earlier_search_line(finished.store, plan, "of the curve") or "")
