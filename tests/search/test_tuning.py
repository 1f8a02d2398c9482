"""Which trials the scheduler compares."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.sampling.sampler import PastTrial, Proposal
from tune_paddy.search.trial import Trial
from tune_paddy.search.tuning import RememberingASHA, only_rung

CONFIGS = {
    "trained": MemberConfig(arch="test_resnet", epochs=12),
    "frozen": MemberConfig(arch="test_resnet", schedule="frozen"),
}


def ray_trial(kind: str, number: int) -> Any:
    trial = Trial(number, f"m{number}", "o", CONFIGS[kind], TrialMemory(gpu=0.0, accum=1))
    return SimpleNamespace(trial_id=str(number), config=trial.to_config())


def asha(earlier: tuple[PastTrial, ...] = (), grace: int = 1, last: int = 14) -> RememberingASHA:
    scheduler = RememberingASHA(
        earlier, time_attr="epoch", max_t=last, grace_period=grace, reduction_factor=2
    )
    assert scheduler.set_search_properties("objective", "min")
    return scheduler


def report(scheduler: RememberingASHA, trial: Any, epoch: int, value: float, **more: object) -> str:
    return scheduler.on_trial_result(None, trial, {"epoch": epoch, "objective": value, **more})


@pytest.mark.parametrize("good", ["trained", "frozen"])
def test_only_a_trained_member_stops_a_trained_one(good: str) -> None:
    scheduler = asha()
    first, weak = ray_trial(good, 0), ray_trial("trained", 1)
    for trial, value in ((first, 0.1), (weak, 0.9)):
        scheduler.on_trial_add(None, trial)
        decision = report(scheduler, trial, 1, value)
    assert (decision == TrialScheduler.STOP) == (good == "trained")


def test_a_frozen_member_runs_to_its_end_and_counts_at_no_epoch() -> None:
    """Also with several folds, each of which counts as an epoch."""
    scheduler = asha()
    trained, frozen = ray_trial("trained", 0), ray_trial("frozen", 1)
    for trial in (trained, frozen):
        scheduler.on_trial_add(None, trial)
    report(scheduler, trained, 4, 0.1)
    decisions = {report(scheduler, frozen, fold, 0.9) for fold in range(1, 15)}
    assert decisions == {TrialScheduler.CONTINUE}
    scheduler.on_trial_complete(None, frozen, {"epoch": 15, "objective": 0.01, "outcome": "finished"})
    weak = ray_trial("trained", 2)
    scheduler.on_trial_add(None, weak)
    assert report(scheduler, weak, 1, 0.5) == TrialScheduler.CONTINUE


def test_frozen_members_of_earlier_sessions_stop_nothing() -> None:
    past = [
        PastTrial(Proposal(number, "o", CONFIGS[kind]), ended=True, value=loss, curve={1: loss})
        for number, (kind, loss) in enumerate([("trained", 0.5), ("frozen", 0.1), ("frozen", 0.1)])
    ]
    scheduler, new = asha(tuple(past)), ray_trial("trained", 3)
    scheduler.on_trial_add(None, new)
    assert report(scheduler, new, 1, 0.4) == TrialScheduler.CONTINUE


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_a_trial_that_never_ran_can_be_removed(kind: str) -> None:
    scheduler, trial = asha(), ray_trial(kind, 0)
    scheduler.on_trial_add(None, trial)
    scheduler.on_trial_remove(None, trial)


@pytest.mark.parametrize("epochs", range(1, 60))
def test_asha_has_one_rung_which_no_member_meets_at_its_last_epoch(epochs: int) -> None:
    """At its last epoch it still has to predict."""
    rung = only_rung(epochs)
    (bracket,) = asha(grace=rung, last=epochs + 1)._brackets
    assert [milestone for milestone, _ in bracket._rungs] == [rung]
    assert rung != epochs
    assert rung > epochs / 2
