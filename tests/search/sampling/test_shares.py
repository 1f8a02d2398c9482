"""A search with a time budget gives its time to the sub-spaces whose members have weight in the ensemble."""

import pytest

from tests.search.sampling.test_sampler import UNKNOWN, budget_of, on_cpu
from tune_paddy.core.domains import Choice, Fixed, Range, Recipe, SubSpace
from tune_paddy.search.sampling.sampler import MemberSampler, PastTrial
from tune_paddy.search.sampling.searchers import MemberSearcher
from tune_paddy.search.sampling.shares import Judged, next_family
from tune_paddy.search.stopping.interruption import Interruption
from tune_paddy.search.trial import Trial

FROZEN = SubSpace(
    "frozen",
    {
        "arch": Choice(("test_vit", "test_resnet")),
        "schedule": Fixed("frozen"),
        "size": Choice((128, 96)),
        "label_smoothing": Choice((0.0, 0.1)),
    },
)
NETS = SubSpace("nets", {"arch": Fixed("test_resnet"), "size": Fixed(48), "lr": Range(1e-4, 1e-2, log=True)})
OTHERS = SubSpace("others", {"arch": Fixed("test_vit"), "size": Fixed(32), "lr": Range(1e-4, 1e-2, log=True)})
FIRST = Recipe("first", {"arch": "test_resnet", "size": 48, "lr": 2e-3})
KNOWN = Recipe("known", {"arch": "test_vit", "schedule": "frozen", "size": 128})


def sampler() -> MemberSampler:
    return MemberSampler([FIRST, KNOWN], [FROZEN, NETS, OTHERS], seed=0, by_share=True)


def test_each_sub_space_is_tried_once_in_order() -> None:
    assert next_family(["a", "b", "c"], []) == "a"
    assert next_family(["a", "b", "c"], [Judged("a", 1.0, 1.0)]) == "b"
    assert next_family(["a", "b", "c"], [Judged("a", 1.0, 1.0)], {"b"}) == "c"
    assert next_family(["a", "b"], [], {"a", "b"}) == "a"


def test_a_sub_space_that_takes_long_waits_for_others() -> None:
    judged, seconds = [Judged("cheap", 1.0, 1.0)], {"dear": 100.0, "cheap": 30.0}.get
    assert next_family(["dear", "cheap"], judged, (), seconds, 20.0) == "cheap"
    assert next_family(["dear", "cheap"], [], (), seconds, 20.0) == "dear"


def test_a_sub_space_that_takes_long_is_tried_once_the_others_give_little() -> None:
    """It need not take little of the time: another that gives nothing would have it all."""
    judged, seconds = [Judged("frozen", 0.95, 400.0)], {"dear": 220.0}.get
    tried = [next_family(["weak", "dear"], judged, (), seconds, 100.0)]
    for _ in range(20):
        judged.append(Judged("weak", 0.0, 30.0))
        tried.append(next_family(["weak", "dear"], judged, (), seconds, 100.0))
    assert tried[0] == "weak"
    assert "dear" in tried[1:6]


def test_the_first_member_of_a_sampled_sub_space_has_middling_values() -> None:
    source = sampler()
    source.ask(), source.ask()
    opening = source.opening("others")
    proposal = source.ask("others")
    assert proposal
    assert (proposal.config.lr, proposal.proposed_by) == (1e-3, "middle")
    assert proposal.config.model_copy(update={"seed": opening.seed}) == opening
    again = source.ask("others")
    assert again
    assert again.config.lr != 1e-3
    assert source.trials()[proposal.number].params["space"] == "others"


def test_weight_per_second_decides_and_falls_with_the_time_that_adds_none() -> None:
    judged = [Judged("fast", 0.5, 10.0), Judged("slow", 0.5, 100.0)]
    assert next_family(["slow", "fast"], judged) == "fast"
    more = [Judged("fast", 0.0, 10.0)] * 20
    assert next_family(["slow", "fast"], [*judged, *more]) == "slow"


def test_a_sub_space_without_weight_is_tried_again_at_times() -> None:
    judged = [Judged("good", 1.0, 10.0), Judged("bad", 0.0, 10.0)]
    counts = {"good": 0, "bad": 0}
    for _ in range(100):
        name = next_family(["good", "bad"], judged)
        counts[name] += 1
        judged.append(Judged(name, 0.0, 10.0))
    assert 2 <= counts["bad"] <= 20


def test_recipes_come_in_their_order_and_then_the_caller_chooses() -> None:
    source = sampler()
    assert source.families == ()
    assert [proposal.origin for _ in range(2) if (proposal := source.ask("others"))] == ["first", "known"]
    assert source.families == ("frozen", "nets", "others")
    assert [proposal.origin for name in ("others", "nets") if (proposal := source.ask(name))] == [
        "others",
        "nets",
    ]


def test_a_listed_sub_space_gives_each_combination_once_different_features_first() -> None:
    source = sampler()
    source.ask(), source.ask()
    found = []
    while "frozen" in source.families:
        proposal = source.ask("frozen")
        assert proposal
        config = proposal.config
        found.append((config.arch, config.size[0], config.label_smoothing))
    assert len(set(found)) == len(found) == 7, "eight combinations, of which a recipe is one"
    assert found[:4] == [
        ("test_vit", 96, 0.0),
        ("test_resnet", 128, 0.0),
        ("test_resnet", 96, 0.0),
        ("test_vit", 128, 0.1),
    ]


def test_a_member_counts_for_the_sub_space_that_contains_it() -> None:
    source = sampler()
    first, known = source.ask(), source.ask()
    assert first
    assert known
    assert (source.family_of(first), source.family_of(known)) == ("nets", "frozen")


def test_a_resume_proposes_no_listed_member_again() -> None:
    source = sampler()
    proposals = [source.ask("frozen") for _ in range(9)]
    past = [PastTrial(proposal, ended=True, value=0.5) for proposal in proposals if proposal]
    again = sampler()
    assert again.replay(past) == []
    assert again.families == ("nets", "others")


@pytest.mark.parametrize(("weighty", "wanted"), [("first", "nets"), ("known", "frozen")])
def test_the_searcher_takes_the_sub_space_with_the_most_weight_per_second(weighty: str, wanted: str) -> None:
    weights: dict[str, float] = {}
    source = MemberSampler([FIRST, KNOWN], [FROZEN, NETS], seed=0, by_share=True)
    searcher = MemberSearcher(
        source,
        Interruption(budget=budget_of(1000)),
        trials=9,
        paces=UNKNOWN,
        plan=on_cpu,
        contributors=lambda: weights,
    )
    for number in range(2):
        trial = Trial.from_config(searcher.suggest(str(number)))
        weights[trial.member] = float(trial.origin == weighty)
        result = {"outcome": "finished", "objective": 0.5, "train_seconds_total": 10.0}
        searcher.on_trial_complete(str(number), result)
    assert Trial.from_config(searcher.suggest("2")).origin == wanted
