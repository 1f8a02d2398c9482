"""What a search knows of its members that have begun."""

import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.search.sampling.begun import BegunMembers
from tune_paddy.search.sampling.sampler import PastTrial, Proposal
from tune_paddy.search.sampling.shares import Begun

ONE, TWO, THREE = (
    Proposal(
        number, "nets", MemberConfig(arch="test_resnet", epochs=4, freeze_epochs=0, schedule="one_cycle")
    )
    for number in range(3)
)


def expected(_: MemberConfig) -> float:
    return 40.0


def unknown(_: MemberConfig) -> None:
    return None


def test_a_failure_counts_whole_and_a_stopped_member_by_its_epochs() -> None:
    """The failure may have come at once: it would make its sub-space look cheap."""
    begun = BegunMembers([], folds=1)
    for proposal in (ONE, TWO, THREE):
        begun.begin(proposal)
    begun.finish(ONE, 30.0)
    begun.lose(TWO, {1: 0.5}, failed=True)
    begun.lose(THREE, {1: 0.5}, failed=False)
    assert begun.seconds(expected) == {0: 30.0, 1: 40.0, 2: 10.0}


@pytest.mark.parametrize(("spent", "usual"), [(30.0, 30.0), (0.0, 1.0)])
def test_members_of_which_nothing_is_known_count_as_average_ones(spent: float, usual: float) -> None:
    begun = BegunMembers([PastTrial(ONE, ended=True, value=0.5, seconds=spent)], folds=1)
    begun.begin(TWO)
    assert begun.seconds(unknown) == {0: usual, 1: usual}


def test_members_are_judged_failed_or_running_and_those_that_wait_say_nothing() -> None:
    past = [
        PastTrial(ONE, ended=True, value=0.5, seconds=30.0),
        PastTrial(TWO, ended=True),
        PastTrial(THREE, ended=False),
    ]
    begun = BegunMembers(past, folds=1)
    found = begun.in_families(
        lambda proposal: proposal.origin, {ONE.member: 0.7}, begun.seconds(expected), [THREE]
    )
    assert found == [Begun("nets", 0.7, 30.0), Begun("nets", 0.0, 40.0, failed=True)]
    begun.begin(THREE)
    running = begun.in_families(lambda proposal: proposal.origin, {}, begun.seconds(expected))[-1]
    assert running == Begun("nets", None, 40.0)
