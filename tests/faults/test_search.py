"""One search whose driver is killed, then interrupted, and whose trials die, hang or diverge.

Every process that imports torch and every start of Ray takes seconds, so all faults share one search.
"""

import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.harness import Night, Session, kill, signal_job, wait_for
from tune_paddy.cli.show import read_overview
from tune_paddy.tracking.pool import load_pool

EPOCHS = 3
FAULTS = {
    0: "hold in a checkpoint, then wait",
    1: "wait",
    2: "kill in TTA",
    3: "kill in an upload",
    4: "NaN",
    5: "full disk in a checkpoint",
    6: "hang, then kill in training",
}
"""The first trial has half a checkpoint when the driver and all that it started are killed; it and the second
are in their second epoch when the search is interrupted; the last session has the other faults.

A trial that ends with its driver needs no further process of Ray, which would import torch."""
SURVIVED = {0, 1, 2, 3, 5}
ONE = ("--concurrency", "1")
"""One trial at once, except where a signal must find two running: each needs a process that imports torch."""


@dataclass(frozen=True)
class Sessions:
    """The search after its three sessions, and what could be seen between them.

    Attributes:
        night: The search.
        killed: Outcomes of the search and its members after the first driver was killed.
        status: Exit status of the interrupted session.
        text: Output of the interrupted session.
        begun: Epochs that began after the signal.
        interrupted: Outcomes of the search and its members after the interrupted session.
    """

    night: Night
    killed: set[str]
    status: int
    text: str
    begun: Counter[tuple[int, int]]
    interrupted: set[str]


@pytest.fixture(scope="module")
def sessions(small_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    """A finished search of seven members with faults; its last output and exit status are checked."""
    night = Night(tmp_path_factory.mktemp("night"), small_digits, len(FAULTS), EPOCHS, FAULTS)
    killed = kill_driver(night)
    second = night.resume("--concurrency", "2")
    begun = interrupt(night, second)
    status, text = second.end()
    interrupted = outcomes(night)
    last_status, last_text = night.resume(*ONE).end()
    assert last_status == 0, last_text
    assert "Traceback" not in last_text
    assert "5 of 7 members finished" in last_text
    return Sessions(night, killed, status, text, begun, interrupted)


def kill_driver(night: Night) -> set[str]:
    """Start the search and kill its driver while a trial writes a checkpoint; return the outcomes then."""
    first = night.begin(*ONE)
    wait_for(lambda: (night.log / "held").exists() or first.process.poll() is not None, 1200)
    kill(first.process)
    # Ray's workers end within seconds.
    wait_for(lambda: outcomes(night) <= {"interrupted", "finished"}, 600, pause=0.5)
    return outcomes(night)


def interrupt(night: Night, session: Session) -> Counter[tuple[int, int]]:
    """Interrupt a session while two trials are in an epoch; return the epochs that begin afterwards."""
    night.wait_for_epochs(5, session)
    before = night.begun_epochs()
    signal_job(session.process, signal.SIGTERM)
    said = "Interrupted: the search stops"
    wait_for(lambda: said in session.output.read_text() or session.process.poll() is not None, 600)
    (night.log / "go").touch()
    session.process.wait(timeout=1800)
    return night.begun_epochs() - before


def outcomes(night: Night) -> set[str]:
    """Return the outcomes of the search and its members as `show` reads them, from the record alone."""
    overview = read_overview(night.store(), "night")
    return {run.outcome for run in (overview.search, *overview.members)}


@pytest.fixture(scope="module")
def night(sessions: Sessions) -> Night:
    """The finished search."""
    return sessions.night


def test_a_search_whose_driver_was_killed_and_its_members_are_interrupted(sessions: Sessions) -> None:
    assert sessions.killed == {"interrupted"}


def test_an_interrupted_search_ends_with_its_running_epochs_and_names_the_command_that_resumes_it(
    sessions: Sessions,
) -> None:
    assert sessions.status == 128 + signal.SIGTERM, sessions.text
    assert "tune-paddy search --resume night" in sessions.text
    assert not sessions.begun, "a running trial ends with its epoch"
    assert sessions.interrupted == {"interrupted"}


@pytest.mark.documents("search --resume SEARCH")
def test_a_search_that_is_killed_interrupted_and_resumed_trains_every_member_once(night: Night) -> None:
    _, members = night.record()
    assert [int(member.tags["tune_paddy.trial"]) for member in members] == list(FAULTS)
    every = set(range(1, EPOCHS + 1))
    begun = night.begun_epochs().keys()
    assert {(trial, epoch) for trial in SURVIVED for epoch in every} <= begun
    assert {number for number, _ in begun} == set(FAULTS)
    store = night.store()
    for member in members:
        if member.outcome == "finished":
            curve = store.client.get_metric_history(member.run_id, "train_loss")
            assert [point.step for point in curve] == sorted(every)


def test_every_member_that_can_finish_is_in_the_pool_once(night: Night) -> None:
    search, members = night.record()
    assert search.outcome == "finished"
    assert len(members) == len(FAULTS)
    finished = {int(member.tags["tune_paddy.trial"]) for member in members if member.outcome == "finished"}
    assert finished == SURVIVED
    pool = load_pool(night.store(), [search.name])
    assert Counter(view.member for view in pool.views) == Counter(
        {member.name: 2 for member in members if member.outcome == "finished"}
    )


def test_every_fault_cost_its_trial_one_attempt(night: Night) -> None:
    attempts = {int(m.tags["tune_paddy.trial"]): m.tags["tune_paddy.attempts"] for m in night.record()[1]}
    assert attempts == {0: "3", 1: "2", 2: "2", 3: "2", 4: "1", 5: "2", 6: "2"}


def test_selection_ran(night: Night) -> None:
    assert (night.search / "submission.csv").is_file()


def test_at_most_the_running_epoch_of_an_affected_trial_is_repeated(night: Night) -> None:
    begun = night.begun_epochs()
    assert max(begun.values()) <= 2
    repeated = Counter(number for (number, _), times in begun.items() if times > 1)
    # Faults in TTA and uploads repeat no epoch, and neither does an interruption.
    assert repeated == {0: 1, 5: 1, 6: 1}


def test_a_member_that_diverged_or_died_too_often_has_a_reason_and_no_objective(night: Night) -> None:
    failures = {int(m.tags["tune_paddy.trial"]): m for m in night.record()[1] if m.outcome != "finished"}
    assert {number: member.outcome for number, member in failures.items()} == {4: "diverged", 6: "failed"}
    assert "not finite" in failures[4].failure
    assert "more often than `retries` allows" in failures[6].failure
    assert all("objective" not in member.metrics for member in failures.values())


def test_only_the_checkpoint_of_the_member_that_can_be_retried_is_left(night: Night) -> None:
    (failed,) = (member.name for member in night.record()[1] if member.outcome == "failed")
    assert {path.parent.name for path in night.leftovers()} == {failed}
    assert {path.name for path in night.leftovers()} == {"checkpoint-00001.safetensors"}
    assert not list(night.folder.rglob(".artifact.uploading.*"))
