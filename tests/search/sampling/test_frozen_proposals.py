"""Proposals of frozen members."""

from pathlib import Path
from typing import Any

import pytest

from tests.search.sampling.test_sampler import UNKNOWN, budget_of, on_cpu
from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.sampling.sampler import MemberSampler, PastTrial, Proposal
from tune_paddy.search.sampling.searchers import NO_MORE, MemberSearcher
from tune_paddy.search.stopping.interruption import Interruption
from tune_paddy.search.trial import Trial
from tune_paddy.spaces.space import SearchSpace

SPACE = """
defaults: {epochs: 5, lr: 0.1}
recipes:
  - {name: slow, arch: c}
  - {name: quick, arch: [a, b], schedule: frozen, size: 64}
spaces:
  - {name: frozen, arch: [a, b], schedule: frozen, size: [64, 96], label_smoothing: {low: 0.0, high: 0.2}}
  - {name: trained, arch: [a, b], lr: {low: 0.001, high: 0.1, log: true}}
"""


def sampler() -> MemberSampler:
    space = SearchSpace.parse(SPACE, name="x")
    return MemberSampler(space.recipes, space.spaces, seed=3)


def ask(source: MemberSampler, value: float) -> Proposal:
    """Return the next proposal, and report its end."""
    proposal = source.ask()
    assert proposal is not None
    source.tell(proposal.number, value, {}, pruned=False)
    return proposal


def test_a_resumed_search_knows_its_frozen_members_and_proposes_the_same_as_an_uninterrupted_one() -> None:
    """Also where defaults set what has no effect on them."""
    whole = sampler()
    losses = [1.0, 0.7, 0.4, 0.9, 0.3, 0.8, 0.5, 0.6]
    proposals = [ask(whole, loss) for loss in losses]
    assert [proposal.origin for proposal in proposals[:3]] == ["quick-a", "quick-b", "slow"]
    assert {proposal.origin for proposal in proposals[3:]} == {"frozen", "trained"}
    resumed = sampler()
    done = [PastTrial(one, ended=True, value=loss) for one, loss in zip(proposals[:6], losses, strict=False)]
    assert resumed.replay(done) == []
    assert [ask(resumed, loss).config for loss in losses[6:]] == [one.config for one in proposals[6:]]
    assert [trial.params for trial in resumed.trials()] == [trial.params for trial in whole.trials()]


CHOICES = """
recipes:
  - {name: slow, arch: c}
  - {name: quick, arch: a, schedule: frozen, size: 64}
spaces:
  - {name: frozen, arch: [a, b], schedule: frozen, size: [64, 96], flip: horizontal, tta: [0, 4]}
  - {name: trained, arch: [a, b], lr: {low: 0.001, high: 0.1, log: true}}
"""


def proposals(text: str, n: int, trials: int | None = None, seed: int = 3) -> list[Proposal]:
    space = SearchSpace.parse(text, name="x")
    source = MemberSampler(space.recipes, space.spaces, seed=seed, trials=trials)
    return [ask(source, 1.0) for _ in range(n)]


def seedless(proposal: Proposal) -> MemberConfig:
    return proposal.config.model_copy(update={"seed": 0})


def test_each_combination_of_a_frozen_sub_space_runs_once_before_members_that_train() -> None:
    """Also the one that is a recipe. Each member has a seed of its own."""
    found = proposals(CHOICES, 12)
    assert [one.origin for one in found[:9]] == ["quick", *["frozen"] * 7, "slow"]
    assert {seedless(one) for one in found[:8]} == {
        MemberConfig(arch=arch, size=size, tta=tta, schedule="frozen", seed=0)
        for arch in "ab"
        for size in (64, 96)
        for tta in (0, 4)
    }
    assert [one.config.seed for one in found] == list(range(3, 15))
    assert {one.origin for one in found[9:]} == {"trained"}


def test_the_order_of_the_combinations_depends_on_the_seed_alone() -> None:
    first, again, other = (list(map(seedless, proposals(CHOICES, 8, seed=seed))) for seed in (3, 3, 4))
    assert first == again
    assert first != other
    assert set(first) == set(other)


@pytest.mark.parametrize(("trials", "listed"), [(2, 0), (8, 3), (16, 7), (40, 7)])
def test_recipes_and_other_sub_spaces_keep_their_trials(trials: int, listed: int) -> None:
    """The latter half of those that recipes leave."""
    found = proposals(CHOICES, min(trials, 10), trials)
    assert [one.origin for one in found].index("slow") == 1 + listed


def test_a_sub_space_that_has_not_run_in_full_stays_with_the_sampler() -> None:
    space = SearchSpace.parse(CHOICES, name="x")
    some, every = (MemberSampler(space.recipes, space.spaces, seed=3, trials=n) for n in (8, 40))
    assert [sub.name for sub in some.spaces] == ["frozen", "trained"]
    assert [sub.name for sub in every.spaces] == ["trained"]


def test_sub_spaces_of_frozen_members_alone_may_take_all_trials() -> None:
    alone = CHOICES.rpartition("\n  - {name: trained")[0]
    found = proposals(alone, 11, 11)
    assert [one.origin for one in found] == ["quick", *["frozen"] * 7, "slow", "frozen", "frozen"]


@pytest.mark.parametrize(("minutes", "recipe"), [(None, True), (60.0, False)])
def test_frozen_members_that_see_all_images_are_proposed_once(minutes: float | None, *, recipe: bool) -> None:
    """Another seed would change nothing, so the search ends before its trials."""
    alone = CHOICES.rpartition("\n  - {name: trained")[0].replace(
        "tta: [0, 4]", "tta: [0, 4], subsample: 1.0"
    )
    alone = alone if recipe else "spaces:" + alone.rpartition("spaces:")[2]
    settings = SearchSettings(trials=20, minutes=minutes)
    no_images: Any = None
    plan = SearchPlan("x", no_images, SearchSpace.parse(alone, name="x"), settings, Path())
    searcher = MemberSearcher(
        plan.sampler(), Interruption(budget=budget_of(1000)), trials=plan.total, paces=UNKNOWN, plan=on_cpu
    )
    found = []
    while (config := searcher.suggest(str(len(found)))) != NO_MORE:
        searcher.on_trial_complete(str(len(found)), {"outcome": "finished", "objective": 0.5})
        found.append(Trial.from_config(config).config.model_copy(update={"seed": 0}))
    assert plan.total == len(found) == len(set(found)) == (10 if recipe else 8)
    assert searcher.exhausted


def test_a_range_leaves_the_whole_sub_space_to_the_sampler() -> None:
    ranged = CHOICES.replace("tta: [0, 4]", "subsample: {low: 0.5, high: 1.0}")
    assert [one.origin for one in proposals(ranged, 2)] == ["quick", "slow"]


def test_a_search_that_is_resumed_with_more_trials_repeats_no_member_and_forgets_none() -> None:
    space = SearchSpace.parse(CHOICES, name="x")
    done = proposals(CHOICES, 6, trials=6)
    again = MemberSampler(space.recipes, space.spaces, seed=3, trials=16)
    assert again.replay([PastTrial(one, ended=True, value=1.0) for one in done]) == []
    listed = [one for one in [*done, *(ask(again, 1.0) for _ in range(5))] if one.origin != "trained"]
    known = listed[: 1 + 7 + 1]
    assert sorted(one.origin for one in known) == ["frozen"] * 7 + ["quick", "slow"]
    assert len({seedless(one) for one in known}) == len(known)


def test_a_member_that_was_proposed_and_never_recorded_is_proposed_again() -> None:
    space = SearchSpace.parse(CHOICES, name="x")
    done = proposals(CHOICES, 6)
    missing = done.pop(2)
    again = MemberSampler(space.recipes, space.spaces, seed=3)
    assert again.replay([PastTrial(one, ended=True, value=1.0) for one in done]) == [missing]


@pytest.mark.parametrize(("trials", "frozen"), [(2, 1), (8, 4), (16, 8)])
def test_a_plan_counts_its_frozen_members(trials: int, frozen: int) -> None:
    """As far as they are known before the sampler proposes members."""
    no_images: Any = None
    space = SearchSpace.parse(CHOICES, name="x")
    plan = SearchPlan("x", no_images, space, SearchSettings(trials=trials), Path())
    assert plan.frozen == frozen
