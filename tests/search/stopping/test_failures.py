"""Members that fail one after another."""

import pytest

from tests.search.trials import make_trial
from tune_paddy.search.stopping.failures import MOST, FailuresInARow


def failed(failures: FailuresInARow, numbers: range, state: str = "failed") -> FailuresInARow:
    for number in numbers:
        failures.trial_changed(make_trial(f"{number:04d}-net"), state, {"reason": "no space\nleft"})
    return failures


@pytest.mark.parametrize("state", ["failed", "diverged", "infeasible"])
def test_ten_failures_in_a_row_are_many_and_the_last_one_is_named(state: str) -> None:
    failures = failed(FailuresInARow(), range(MOST - 1), state)
    assert not failures.are_many()
    failed(failures, range(MOST - 1, MOST), state)
    assert failures.are_many()
    error = failures.error("night")
    assert error.exit_status == 1
    assert not error.at_once, "what has finished is selected from"
    assert str(error) == (
        "search night ends, since its last 10 members failed: 0009-net: no space left; mend the cause, then "
        "resume the search"
    )


@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_a_member_that_trains_begins_a_new_count(state: str) -> None:
    failures = failed(FailuresInARow(), range(MOST - 1))
    failures.trial_changed(make_trial("other"), state, {})
    failed(failures, range(MOST - 1))
    assert not failures.are_many()


@pytest.mark.parametrize("state", ["diverged", "infeasible"])
def test_members_with_bad_parameters_end_no_search_in_which_others_have_trained(state: str) -> None:
    failures = FailuresInARow()
    failures.trial_changed(make_trial("other"), "finished", {})
    assert not failed(failures, range(3 * MOST), state).are_many()


def test_a_trial_that_reports_its_failure_twice_counts_once() -> None:
    failures = FailuresInARow()
    for _ in range(MOST):
        failed(failures, range(1))
    assert not failures.are_many()


def test_trials_that_run_together_may_fail_together() -> None:
    failures = failed(FailuresInARow(places=16), range(31))
    assert not failures.are_many()
    assert failed(failures, range(31, 32)).are_many()
