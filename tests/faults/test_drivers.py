"""A search whose driver is killed, then interrupted, and resumed each time."""

import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.harness import Night, Session, kill, signal_job, wait_for
from tune_paddy.cli.show import read_overview
from tune_paddy.tracking.pool import load_pool

TRIALS, EPOCHS = 3, 6
ONE = ("--concurrency", "1")
"""One trial at once, except where a signal must find two running: each needs a process that imports torch."""


@pytest.fixture
def night(small_digits: Path, tmp_path: Path) -> Night:
    return Night(tmp_path, small_digits, TRIALS, EPOCHS)


@pytest.mark.documents("search --resume SEARCH")
def test_a_search_that_is_killed_interrupted_and_resumed_trains_every_member_once(night: Night) -> None:
    first = night.begin(*ONE)
    night.wait_for_epochs(2, first)
    kill(first.process)

    def outcomes() -> set[str]:
        """Return the outcomes of the search and its members as `show` reads them, from the record alone."""
        overview = read_overview(night.store(), "night")
        return {run.outcome for run in (overview.search, *overview.members)}

    wait_for(lambda: outcomes() <= {"interrupted", "finished"}, 600)  # Ray's workers end within seconds

    second = night.resume("--concurrency", "2")
    night.wait_for_epochs(night.begun_epochs().total() + 1, second)
    signal_job(second.process, signal.SIGTERM)
    before = night.begun_epochs()
    status, text = second.end()
    assert status == 128 + signal.SIGTERM, text
    assert "tune-paddy search --resume night" in text
    begun_since = Counter(trial for trial, _ in (night.begun_epochs() - before).elements())
    assert max(begun_since.values(), default=0) <= 1, "a running trial ends with its epoch"
    assert "interrupted" in outcomes()
    assert outcomes() <= {"interrupted", "finished"}

    assert_complete(night, night.resume(*ONE))


def assert_complete(night: Night, last: Session) -> None:
    """Assert that the last session succeeds, and that nothing is lost, duplicated or left over."""
    status, text = last.end()
    assert status == 0, text
    search, members = night.record()
    assert [member.outcome for member in members] == ["finished"] * TRIALS
    assert [int(member.tags["tune_paddy.trial"]) for member in members] == list(range(TRIALS))
    assert len({view.member for view in load_pool(night.store(), [search.name]).views}) == TRIALS
    begun = night.begun_epochs()
    assert begun.keys() == {(trial, epoch + 1) for trial in range(TRIALS) for epoch in range(EPOCHS)}
    store = night.store()
    for member in members:
        curve = store.client.get_metric_history(member.run_id, "train_loss")
        assert [point.step for point in curve] == list(range(1, EPOCHS + 1))
    assert night.leftovers() == []
    assert (night.search / "submission.csv").is_file()
