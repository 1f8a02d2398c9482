"""The state of a running search: time left, cost, folds, ensemble."""

import numpy as np

from tests.ensemble.conftest import make_pool
from tests.search.watchers.conftest import STILL, Clock, Running, resumed
from tune_paddy.core.selection.plain import fixed_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.timing.gains import expect
from tune_paddy.search.watchers.progress import SearchProgress


def test_the_headline_has_the_members_done_the_times_and_the_cost(running: Running) -> None:
    """A member of 100 s leaves 200 s for two others; each reserves two CPUs."""
    assert running.progress.headline() == "0 of 3 members done · 0 s"
    running.tell("0000-net", at=0)
    running.epoch("0000-net", 2, at=90)
    running.tell("0000-net", "finished", at=100)
    assert running.progress.headline() == (
        "1 of 3 members done · 1.7 min, about 3.3 min left · cost 3.3 min CPU"
    )


def test_the_time_left_follows_the_epochs_until_a_member_has_ended(running: Running) -> None:
    running.tell("0000-net", at=0)
    assert running.progress.left() is None
    running.epoch("0000-net", 1, at=30)
    assert running.progress.left() == 30 + 2 * 60


def test_frozen_members_say_nothing_about_the_time_of_those_that_train() -> None:
    """Two members of 10 s each end the frozen stage; then three train, 60 s an epoch."""
    clock = Clock()
    running = Running(clock, SearchProgress(5, frozen=2, clock=clock))
    running.tell("0000-net", at=0, frozen=True)
    running.tell("0000-net", "finished", at=10, frozen=True, epoch=1, log_loss=0.5, error_rate=0.25)
    assert running.progress.left() is None, "no pace of a trained member is known"
    running.tell("0001-net", at=10, frozen=True)
    running.tell("0001-net", "finished", at=20, frozen=True, epoch=1, log_loss=0.5, error_rate=0.25)
    running.tell("0002-net", at=20)
    running.epoch("0002-net", 1, at=80)
    assert running.progress.left() == 60 + 2 * 120
    running.tell("0002-net", "finished", at=140)
    assert running.progress.left() == 2 * 120


def test_frozen_members_that_wait_take_the_time_of_frozen_members() -> None:
    """Also those that an earlier session has not reached."""
    clock = Clock()
    running = Running(clock, SearchProgress(6, frozen=5, done=2, done_frozen=2, clock=clock))
    running.tell("0005-net", at=0)
    running.epoch("0005-net", 1, at=100)
    running.tell("0002-net", at=100, frozen=True)
    running.tell("0002-net", "finished", at=110, frozen=True, epoch=1, log_loss=0.5, error_rate=0.25)
    assert running.progress.left() == 110 + 2 * 10


def test_a_member_that_fails_at_its_start_does_not_shorten_the_time_left(running: Running) -> None:
    running.tell("0000-net", at=0)
    running.tell("0000-net", "failed", at=1, reason="no weights")
    running.tell("0001-net", at=1)
    running.epoch("0001-net", 1, at=51)
    assert running.progress.left() == 50 + 100


def test_a_search_takes_no_longer_than_its_time_limit(running: Running) -> None:
    running.progress.limit = 120
    running.tell("0000-net", at=0)
    running.epoch("0000-net", 1, at=50)
    assert running.progress.left() == 70
    running.progress.limit = 60
    assert running.progress.left() == 10, "the running member ends with its epoch"


def test_a_finished_member_costs_what_the_record_says(running: Running) -> None:
    running.tell("0000-net", at=0)
    running.tell("0000-net", "finished", at=100, cpu_seconds=30.0)
    assert running.progress.cost() == "30 s CPU"


def test_earlier_sessions_count_as_members_and_as_time() -> None:
    clock = Clock(10.0)
    progress = SearchProgress(5, done=2, spent=600, clock=clock)
    clock.now = 70.0
    assert progress.headline() == "2 of 5 members done · 11.0 min"


def test_an_epoch_is_counted_within_its_fold() -> None:
    clock = Clock()
    running = Running(clock, SearchProgress(1, folds=3, clock=clock))
    running.tell("0000-net")
    member = running.progress.members["0000-net"]
    seen = []
    for epoch in range(7):
        if epoch:
            running.epoch("0000-net", epoch)
        seen.append((running.progress.fold_of(member), running.progress.epoch_of(member)))
    assert seen == [
        ("1/3", "0/2"),
        ("1/3", "1/2"),
        ("1/3", "2/2"),
        ("2/3", "1/2"),
        ("2/3", "2/2"),
        ("3/3", "1/2"),
        ("3/3", "2/2"),
    ]
    assert running.progress.share_of(member) == 1


def test_the_ensemble_so_far_is_called_optimistic() -> None:
    pool = make_pool()
    progress = SearchProgress(3)
    progress.ensemble_selected(pool, fixed_select(pool.select, pool.labels, np.array([1, 1, 0, 0, 0, 1])))
    assert progress.ensemble.startswith("Greedy ensemble of 2 members: log loss 0.")
    assert progress.ensemble.endswith(" on the select split: optimistic")


def select(running: Running, members: int, loss: float) -> None:
    """Report a live selection that gives all views the same weight."""
    pool = make_pool(members)
    weights = np.full(len(pool.views), 1 / len(pool.views))
    running.progress.ensemble_selected(pool, Selection(weights, loss, "log_loss", "greedy"))


def test_the_outlook_is_the_expected_loss_at_the_end_with_its_interval() -> None:
    """Eight members of 10 s are left after 90 s."""
    running = resumed({count: (10.0 * count, 0.5 * 0.9**count) for count in range(1, 9)})
    (line,) = running.progress.outlook()
    expected = expect(list(running.progress.points.values()), 170.0)
    assert expected is not None
    assert running.progress.expected() == expected
    assert line == (
        f"Expected at the end: log loss {expected.loss:.4f} ({expected.low:.4f} to {expected.high:.4f}): "
        "optimistic"
    )
    assert len(line) <= 80


def test_there_is_no_outlook_before_four_members_and_four_trained_ones() -> None:
    """Frozen members, which come first, say nothing about what trained ones bring."""
    three = {count: STILL[count] for count in range(1, 4)}
    assert resumed(three).progress.outlook() == []
    assert resumed(frozen=8, done_frozen=8).progress.outlook() == []
    assert resumed(frozen=16, done_frozen=8).progress.outlook() != []


def test_the_outlook_says_when_more_time_is_not_expected_to_pay() -> None:
    running = resumed()
    assert running.progress.outlook()[1:] == ["More time is not expected to pay"]
    assert resumed(limit=10_000.0, total=10_000).progress.outlook()[1:] == [], "much time is left"
    assert resumed(known=10).progress.outlook()[1:] == [], "members that the space names are to come"
    assert resumed(names_more=lambda: True).progress.outlook()[1:] == []


def test_a_search_is_flat_once_a_member_of_this_session_has_not_made_its_ensemble_better() -> None:
    running = resumed()
    assert not running.progress.is_flat(), "nothing is known of what this session adds"
    assert not running.progress.flat_reason()
    select(running, 8, 0.5)
    assert not running.progress.is_flat(), "the members of earlier sessions are no new point"
    select(running, 9, 0.5)
    assert running.progress.points[9] == (90.0, 0.5)
    assert running.progress.is_flat()
    reason = running.progress.flat_reason()
    assert "`stop_when_flat`" in reason
    assert "is 0.5000, and after 3.0 min of search" in reason


def test_a_search_whose_ensemble_gets_better_is_not_flat() -> None:
    running = resumed()
    select(running, 9, 0.4)
    assert not running.progress.is_flat()


def test_a_search_that_ends_early_waits_for_running_members_alone() -> None:
    running = resumed()
    select(running, 9, 0.5)
    running.tell("0009-net", at=10)
    running.epoch("0009-net", 1, at=15)
    assert running.progress.left() == 5 + 7 * 10
    running.progress.ends_early = lambda: True
    assert running.progress.left() == 5
    assert running.progress.outlook() == ["More time is not expected to pay: no further member starts"]


def test_a_search_that_its_time_ends_does_not_count_trials_that_never_start() -> None:
    assert SearchProgress(total=173, limit=600.0).headline().startswith("0 members done · ")
    assert SearchProgress(total=173).headline().startswith("0 of 173 members done · ")
