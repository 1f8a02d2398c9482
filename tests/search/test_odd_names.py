"""Unusual names through the whole program, in a search whose time for training is used up."""

import csv

from tests.search.conftest import CHECKPOINTS, LABELS, TRIALS, Odd
from tune_paddy.data.ensemble_file import read_ensemble
from tune_paddy.data.submission.files import check_submission
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.tracking.runs import get_search


def test_a_running_member_ends_with_its_epoch_and_can_be_resumed(odd: Odd) -> None:
    """The search ends without an error, so that a selection can follow."""
    assert odd.members[-1].outcome == "interrupted"
    assert any(odd.plan.folder.glob(CHECKPOINTS))
    assert get_search(odd.store, "odd").outcome == "finished"


def test_no_trial_starts_after_the_time_is_used_up(odd: Odd) -> None:
    outcomes = [member.outcome for member in odd.members]
    assert len(outcomes) == TRIALS + 1
    assert outcomes[0] == "failed"
    assert "interrupted" not in outcomes[:TRIALS]


def test_odd_names_pass_through_the_whole_program(odd: Odd) -> None:
    dataset, plan = odd.dataset, odd.plan
    assert {member.failure for member in odd.members if member.outcome == "finished"} == {""}
    ensemble = build_ensemble(odd.store, ["odd"], folder=plan.folder)
    assert ensemble.submission
    check_submission(ensemble.submission, dataset / "sample_submission.csv", LABELS)
    with (
        ensemble.submission.open(newline="") as file,
        (dataset / "sample_submission.csv").open(newline="") as sample,
    ):
        assert [row[0] for row in csv.reader(file)] == [row[0] for row in csv.reader(sample)]
    assert set(read_ensemble(plan.folder / "ensemble.json").classes) == set(LABELS)
