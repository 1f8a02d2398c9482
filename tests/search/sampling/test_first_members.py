"""Members that a sub-space names as its first run before others of it, once, and inform the sampler."""

from dataclasses import replace

import pytest

from tests.search.sampling.test_sampler import CONVNEXT, INSIDE, VIT
from tune_paddy.core.domains import Choice, Fixed, SubSpace
from tune_paddy.search.sampling.sampler import MemberSampler, PastTrial, Proposal

VITS = replace(
    VIT,
    first=({"arch": "test_vit", "size": 32, "lr": 3e-3}, {"arch": "test_vit", "size": (64, 32), "lr": 4e-3}),
)
CONVNEXTS = replace(CONVNEXT, first=({"arch": "test_convnext", "size": 48, "lr": 5e-3},))
FROZEN = SubSpace(
    "frozen",
    {"arch": Choice(("test_vit", "test_resnet")), "schedule": Fixed("frozen"), "size": Choice((32, 64))},
    first=({"arch": "test_resnet", "schedule": "frozen", "size": 64},),
)


def ask(sampler: MemberSampler, family: str | None = None) -> Proposal:
    proposal = sampler.ask(family)
    assert proposal
    sampler.tell(proposal.number, 0.5, {}, pruned=False)
    return proposal


def test_sub_spaces_take_turns_with_their_first_members_after_the_recipes() -> None:
    sampler = MemberSampler([INSIDE], [VITS, CONVNEXTS], seed=0)
    proposals = [ask(sampler) for _ in range(5)]
    assert [one.proposed_by for one in proposals] == ["recipe", "first", "first", "first", "random"]
    assert [one.config.lr for one in proposals[1:4]] == [3e-3, 5e-3, 4e-3]
    assert [one.origin for one in proposals[1:4]] == ["vit", "convnext", "vit"]


def test_the_sampler_learns_from_the_first_members() -> None:
    sampler = MemberSampler([], [VITS, CONVNEXTS], seed=0)
    proposal = ask(sampler)
    assert sampler.trials()[proposal.number].params == {"space": "vit", "size": 0, "lr": 3e-3}


def test_where_time_is_shared_they_are_due_with_their_sub_space() -> None:
    sampler = MemberSampler([], [VITS, CONVNEXTS], seed=0, by_share=True)
    assert sampler.opening("vit").lr == 3e-3
    proposals = [ask(sampler, "vit") for _ in range(3)]
    assert [one.proposed_by for one in proposals] == ["first", "first", "random"]
    assert sampler.opening("convnext").lr == 5e-3
    assert sampler.families == ("vit", "convnext")


@pytest.mark.parametrize("by_share", [False, True])
def test_a_frozen_sub_space_begins_with_them_and_repeats_none(*, by_share: bool) -> None:
    sampler = MemberSampler([], [FROZEN, VIT], seed=0, by_share=by_share)
    proposals = [ask(sampler, "frozen" if by_share else None) for _ in range(4)]
    assert [one.proposed_by for one in proposals] == ["first", "list", "list", "list"]
    found = [(one.config.arch, one.config.size) for one in proposals]
    assert found[0] == ("test_resnet", (64, 64))
    assert len(set(found)) == 4


@pytest.mark.parametrize("by_share", [False, True])
def test_a_resumed_search_proposes_none_of_them_again(*, by_share: bool) -> None:
    whole = MemberSampler([], [VITS, CONVNEXTS], seed=0, by_share=by_share)
    families = ("vit", "convnext", "vit", "vit") if by_share else (None,) * 4
    proposals = [ask(whole, family) for family in families]
    resumed = MemberSampler([], [VITS, CONVNEXTS], seed=0, by_share=by_share)
    past = [PastTrial(one, ended=True, value=0.5) for one in proposals[:2]]
    assert resumed.replay(past) == []
    assert [ask(resumed, family) for family in families[2:]] == proposals[2:]
