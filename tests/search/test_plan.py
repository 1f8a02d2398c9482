"""The members that a search is going to train, before any does."""

from pathlib import Path

import pytest

from tests.conftest import Finished, make_plan
from tune_paddy.search.plan import SearchPlan, preview
from tune_paddy.search.sampling.sampler import PastTrial

SPACE = """
search: {trials: 12, minutes: 5}
defaults: {pretrained: false, size: 32, epochs: 2, tta: 0}
recipes: [{name: known, arch: test_resnet}]
spaces:
  - {name: slow, arch: test_resnet, lr: {low: 0.002, high: 0.01}}
  - {name: fast, arch: test_convnext, lr: {low: 0.002, high: 0.01}}
"""


@pytest.fixture
def plan(finished: Finished, tmp_path: Path) -> SearchPlan:
    return make_plan("preview", finished.plan.dataset.root, tmp_path, SPACE)


def test_with_a_time_limit_sub_spaces_without_a_recipe_come_first_and_only_recipes_are_certain(
    plan: SearchPlan,
) -> None:
    coming = preview(plan, 6)
    assert [one.origin for one in coming.proposals] == ["known", "fast", "slow", "fast", "slow", "fast"]
    assert coming.known == 1


def test_a_resumed_search_continues_after_its_trials_with_those_that_have_not_ended(plan: SearchPlan) -> None:
    before = preview(plan, 3).proposals
    past = [PastTrial(one, ended=one.origin != "fast", value=0.5) for one in before]
    coming = preview(plan, 20, past)
    assert coming.proposals[0] == before[1]
    assert coming.known == 1
    assert [one.number for one in coming.proposals[1:]] == list(range(3, 12))
    assert [one.origin for one in coming.proposals[1:3]] == ["fast", "slow"]


def test_a_search_whose_trials_have_ended_has_no_further_member(plan: SearchPlan) -> None:
    past = [PastTrial(one, ended=True, value=0.5) for one in preview(plan, 12).proposals]
    assert preview(plan, 5, past).proposals == ()
