"""A search whose trials are killed, hang, diverge or get a full disk, each in its first attempt."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.harness import Night
from tune_paddy.tracking.pool import load_pool

FAULTS = {
    0: "kill in a checkpoint",
    1: "kill in TTA",
    2: "kill in an upload",
    3: "NaN",
    4: "full disk in a checkpoint",
    5: "hang, then kill in training",
}
"""Each attempt that ends with its process costs another process, which imports torch."""
SURVIVED = {0, 1, 2, 4}


@pytest.fixture(scope="module")
def night(small_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A finished search of six members with faults; its output and exit status are checked."""
    night = Night(tmp_path_factory.mktemp("night"), small_digits, len(FAULTS), 2, FAULTS)
    status, text = night.begin("--concurrency", "1").end()  # a second process would import torch for nothing
    assert status == 0, text
    assert "Traceback" not in text
    assert "4 of 6 members finished" in text
    return night


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
    assert attempts == {number: "1" if fault == "NaN" else "2" for number, fault in FAULTS.items()}


def test_selection_ran(night: Night) -> None:
    assert (night.search / "submission.csv").is_file()


def test_at_most_the_running_epoch_of_an_affected_trial_is_repeated(night: Night) -> None:
    begun = night.begun_epochs()
    assert {number for number, _ in begun} == set(FAULTS)
    assert max(begun.values()) <= 2
    repeated = Counter(number for (number, _), times in begun.items() if times > 1)
    assert repeated == {0: 1, 4: 1, 5: 1}  # faults in TTA and uploads repeat no epoch


def test_a_member_that_diverged_or_died_too_often_has_a_reason_and_no_objective(night: Night) -> None:
    failures = {int(m.tags["tune_paddy.trial"]): m for m in night.record()[1] if m.outcome != "finished"}
    assert {number: member.outcome for number, member in failures.items()} == {3: "diverged", 5: "failed"}
    assert "not finite" in failures[3].failure
    assert "more often than `retries` allows" in failures[5].failure
    assert all("objective" not in member.metrics for member in failures.values())


def test_only_the_checkpoint_of_the_member_that_can_be_retried_is_left(night: Night) -> None:
    (failed,) = (member.name for member in night.record()[1] if member.outcome == "failed")
    assert {path.parent.name for path in night.leftovers()} == {failed}
    assert {path.name for path in night.leftovers()} == {"checkpoint-00001.safetensors"}
    assert not list(night.folder.rglob(".artifact.uploading.*"))
