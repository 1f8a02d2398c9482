"""A search with a time budget gives its time to the sub-spaces whose members have weight in the ensemble."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.search.sampling.test_sampler import UNKNOWN, budget_of, on_cpu
from tune_paddy.core.domains import Choice, Fixed, Range, Recipe, SubSpace
from tune_paddy.search.sampling.sampler import MemberSampler, PastTrial
from tune_paddy.search.sampling.searchers import NO_MORE, MemberSearcher
from tune_paddy.search.sampling.shares import Begun, next_family
from tune_paddy.search.stopping.interruption import Interruption
from tune_paddy.search.timing.paces import MemberPaces
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
    assert next_family(["a", "b", "c"], [Begun("a", 1.0, 1.0)]) == "b"
    assert next_family(["a", "b", "c"], [Begun("a", 1.0, 1.0), Begun("b", None, 1.0)]) == "c"
    assert next_family(["a", "b"], [Begun("a", None, 1.0), Begun("b", None, 1.0)]) == "a"


def test_a_sub_space_that_takes_long_waits_for_others() -> None:
    judged, seconds = [Begun("cheap", 1.0, 1.0)], {"dear": 100.0, "cheap": 30.0}.get
    assert next_family(["dear", "cheap"], judged, seconds, 20.0) == "cheap"
    assert next_family(["dear", "cheap"], [], seconds, 20.0) == "dear"


def test_a_sub_space_that_takes_long_is_tried_once_the_others_give_little() -> None:
    """It need not take little of the time: another that gives nothing would have it all."""
    judged, seconds = [Begun("frozen", 0.95, 400.0)], {"dear": 220.0}.get
    tried = [next_family(["weak", "dear"], judged, seconds, 100.0)]
    for _ in range(20):
        judged.append(Begun("weak", 0.0, 30.0))
        tried.append(next_family(["weak", "dear"], judged, seconds, 100.0))
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
    judged = [Begun("fast", 0.5, 10.0), Begun("slow", 0.5, 100.0)]
    assert next_family(["slow", "fast"], judged) == "fast"
    more = [Begun("fast", 0.0, 10.0)] * 20
    assert next_family(["slow", "fast"], [*judged, *more]) == "slow"


def test_a_sub_space_without_weight_is_tried_again_at_times() -> None:
    judged = [Begun("good", 1.0, 10.0), Begun("bad", 0.0, 10.0)]
    counts = {"good": 0, "bad": 0}
    for _ in range(100):
        name = next_family(["good", "bad"], judged)
        counts[name] += 1
        judged.append(Begun(name, 0.0, 10.0))
    assert 2 <= counts["bad"] <= 20


def test_a_sub_space_whose_first_member_failed_is_tried_again_while_others_have_weight() -> None:
    """A failure may be the machine's: 41 good members of the same length would pass otherwise."""
    begun, tried = [Begun("a", 0.0, 10.0, failed=True), Begun("b", 1.0, 10.0)], []
    while "a" not in tried:
        tried.append(next_family(["a", "b"], begun))
        begun.append(Begun(tried[-1], 0.0, 10.0))
    assert 5 <= len(tried) <= 10


@pytest.mark.parametrize("seconds", [0.5, 10.0])
def test_a_sub_space_that_fails_every_time_gets_few_trials_however_little_time_it_takes(
    seconds: float,
) -> None:
    begun, counts = [Begun("a", 0.0, seconds, failed=True), Begun("b", 1.0, 10.0)], Counter[str]()
    for _ in range(200):
        name = next_family(["a", "b"], begun)
        counts[name] += 1
        begun.append(Begun(name, 0.0, seconds if name == "a" else 10.0, failed=name == "a"))
    assert 2 <= counts["a"] <= 20


def test_quick_failures_beside_a_first_member_that_runs_do_not_take_all_trials() -> None:
    begun, counts = [Begun("a", 0.0, 1.0, failed=True), Begun("b", None, 600.0)], Counter[str]()
    for _ in range(20):
        name = next_family(["a", "b"], begun)
        counts[name] += 1
        begun.append(Begun(name, 0.0, 1.0, failed=True) if name == "a" else Begun(name, None, 600.0))
    assert 1 <= counts["a"] <= 5


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


def failing_search(past: Sequence[PastTrial] = ()) -> MemberSearcher:
    """Return a searcher of two sub-spaces with members of 10 s; those of `nets` have weight once they end."""
    names = [f"{number:04d}-test_resnet-48" for number in range(99)]
    return MemberSearcher(
        MemberSampler([], [NETS, OTHERS], seed=0, by_share=True),
        Interruption(budget=budget_of(1000)),
        trials=99,
        paces=MemberPaces(lambda _: 10.0, in_seconds=True),
        plan=on_cpu,
        past=past,
        contributors=lambda: dict.fromkeys(names, 0.02),
    )


def origins(searcher: MemberSearcher, outcome: str | None, n: int = 30) -> list[str]:
    """Return the sub-spaces of the next members; those of `others` end with an outcome."""
    found = []
    for number in range(n):
        trial = Trial.from_config(searcher.suggest(str(number)))
        finished = trial.origin == "nets"
        result = {
            "outcome": "finished" if finished else outcome,
            "objective": 0.5,
            "train_seconds_total": 10.0,
        }
        searcher.on_trial_complete(str(number), result, error=not finished and outcome is None)
        found.append(trial.origin)
    return found


@pytest.mark.parametrize("outcome", ["failed", "diverged", "infeasible", None])
def test_the_searcher_tries_a_sub_space_again_whose_first_member_failed(outcome: str | None) -> None:
    found = origins(failing_search(), outcome)
    assert found[:2] == ["nets", "others"]
    assert 1 <= found[2:].count("others") <= 5


def flat_search(paces: MemberPaces) -> MemberSearcher:
    """Return a searcher whose curve is flat from the start: a sub-space names two first members, one none."""
    first = tuple({"arch": "test_resnet", "size": 48, "lr": lr} for lr in (2e-3, 3e-3))
    searcher = MemberSearcher(
        MemberSampler([], [replace(NETS, first=first), OTHERS], seed=0, by_share=True),
        Interruption(budget=budget_of(1000)),
        trials=9,
        paces=paces,
        plan=on_cpu,
        contributors=lambda: {"0000-test_resnet-48": 1.0},
    )
    searcher.is_flat = lambda: True
    return searcher


def test_a_flat_search_ends_after_the_first_members_of_its_sub_spaces_and_one_of_each() -> None:
    searcher, found = flat_search(UNKNOWN), []
    while (config := searcher.suggest(str(len(found)))) != NO_MORE:
        searcher.on_trial_complete(str(len(found)), {"outcome": "finished", "objective": 0.5})
        found.append((config["origin"], config["proposed_by"]))
    assert searcher.ended_flat
    assert sorted(found) == [("nets", "first"), ("nets", "first"), ("others", "middle")]


def test_a_flat_search_waits_for_the_first_member_of_a_sub_space() -> None:
    searcher = flat_search(UNKNOWN)
    trials = [Trial.from_config(searcher.suggest(str(number))) for number in range(3)]
    ended = [number for number in range(3) if trials[number].origin == "nets"]
    for number in ended:
        searcher.on_trial_complete(str(number), {"outcome": "finished", "objective": 0.5})
    assert searcher.suggest("3") != NO_MORE
    assert not searcher.ended_flat


def test_a_flat_search_does_not_wait_for_first_members_that_do_not_fit_the_time() -> None:
    paces = MemberPaces(lambda config: 10.0 if config.arch == "test_vit" else 1e6, in_seconds=True)
    searcher = flat_search(paces)
    assert Trial.from_config(searcher.suggest("0")).origin == "others"
    searcher.on_trial_complete("0", {"outcome": "finished", "objective": 0.5})
    assert searcher.suggest("1") == NO_MORE
    assert searcher.ended_flat


def test_a_resumed_search_waits_for_the_weights_of_its_members() -> None:
    """It would else take the first sub-space, and repeat nothing."""
    before = MemberSampler([], [NETS, OTHERS], seed=0, by_share=True)
    proposals = [proposal for name in ("nets", "others") if (proposal := before.ask(name))]
    weights: dict[str, float] = {}
    searcher = MemberSearcher(
        MemberSampler([], [NETS, OTHERS], seed=0, by_share=True),
        Interruption(budget=budget_of(1000)),
        trials=9,
        paces=MemberPaces(lambda _: 10.0, in_seconds=True),
        plan=on_cpu,
        past=[PastTrial(proposal, ended=True, value=0.5, seconds=10.0) for proposal in proposals],
        contributors=lambda: weights,
    )
    searcher.look_back = lambda: weights.update({proposals[0].member: 0.0, proposals[1].member: 1.0})
    assert Trial.from_config(searcher.suggest("a")).origin == "others"


def test_a_resumed_search_tries_a_sub_space_again_whose_first_member_failed() -> None:
    before = MemberSampler([], [NETS, OTHERS], seed=0, by_share=True)
    nets, others = before.ask("nets"), before.ask("others")
    assert nets
    assert others
    past = [PastTrial(nets, ended=True, value=0.5, seconds=10.0), PastTrial(others, ended=True)]
    assert 1 <= origins(failing_search(past), "failed").count("others") <= 5
