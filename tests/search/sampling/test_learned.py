import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from tune_paddy.search.sampling import learned, sampler
from tune_paddy.search.sampling.learned import BEST, learned_trials
from tune_paddy.search.sampling.sampler import MemberSampler
from tune_paddy.spaces.space import SearchSpace

TEXT = """
defaults: {pretrained: false}
spaces:
  - name: a
    arch: [test_resnet, test_vit]
    lr: {low: 0.001, high: 0.1, log: true}
    weight_decay: {low: 0, high: 1}
  - {name: b, arch: test_convnext, lr: {low: 0.001, high: 0.1, log: true}}
"""


def proposals(count: int) -> list[object]:
    """Return what a sampler proposes after each result."""
    space = SearchSpace.parse(TEXT, name="two")
    asked = MemberSampler((), space.spaces, seed=3)
    made = []
    for number in range(count):
        proposal = asked.ask()
        assert proposal is not None
        made.append(proposal)
        if number % 5 == 4:
            asked.tell(number, None, {1: proposal.config.lr, 2: proposal.config.lr}, pruned=True)
        elif number % 7:  # the others run
            asked.tell(number, abs(proposal.config.lr - 0.02), {}, pruned=False)
    return made


def test_as_long_as_all_trials_are_learned_from_the_proposals_are_those_of_optuna(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = proposals(40)
    monkeypatch.setattr(sampler, "LearnedStudy", lambda study, _: study)
    assert proposals(40) == ours


def ended(number: int, value: float | None, curve: dict[int, float] | None = None) -> FrozenTrial:
    trial = optuna.create_trial(
        state=TrialState.PRUNED if value is None else TrialState.COMPLETE,
        params={"lr": 0.01},
        distributions={"lr": FloatDistribution(0, 1)},
        value=value,
        intermediate_values=curve,
    )
    trial.number = number
    return trial


def split(trials: list[FrozenTrial]) -> list[int]:
    """Return the numbers of the trials that Optuna takes for the best ones."""
    from optuna.samplers._tpe.sampler import _split_trials, default_gamma  # noqa: PLC0415 its private parts

    study = optuna.create_study()
    return [trial.number for trial in _split_trials(study, trials, default_gamma(len(trials)))[0]]


@pytest.mark.parametrize("complete", [5, 400])
def test_the_best_trials_stay_the_best_of_all(complete: int) -> None:
    trials = [ended(number, (number * 37 % 101) / 101 + number / 1e6) for number in range(complete)]
    trials += [ended(number, None, {number % 4 + 1: number * 17 % 53}) for number in range(complete, 600)]
    kept = learned_trials(trials, most=300)
    assert len(kept) == 300
    assert split(kept) == split(trials)


def test_the_others_are_the_newest_and_those_that_run() -> None:
    trials = [ended(number, float(number)) for number in range(500)]
    trials[7].state = TrialState.RUNNING
    kept = {trial.number for trial in learned_trials(trials, most=100)}
    assert kept == {*range(BEST + 1), *range(500 - 75, 500)}


def test_a_proposal_sees_no_more_trials_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []
    made = learned.LearnedStudy

    def seen(study: optuna.Study, trials: list[FrozenTrial]) -> learned.LearnedStudy:
        shown.append(len(trials))
        return made(study, trials)

    monkeypatch.setattr(sampler, "learned_trials", lambda trials: learned_trials(trials, most=30))
    monkeypatch.setattr(sampler, "LearnedStudy", seen)
    proposals(60)
    assert max(shown) <= 30 + 60 // 7 + 1
