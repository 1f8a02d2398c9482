import math
import signal
from collections.abc import Sequence
from dataclasses import replace

import pytest
from ray.tune.search import Searcher

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.domains import Choice, Fixed, Range, Recipe, SubSpace
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.sampling.sampler import START, MemberSampler, PastTrial, Proposal, parameter_names
from tune_paddy.search.sampling.searchers import MemberSearcher
from tune_paddy.search.stopping.interruption import Interruption
from tune_paddy.search.timing.budget import UNLIMITED, TimeBudget
from tune_paddy.search.timing.paces import SAFETY, MemberPaces
from tune_paddy.search.trial import Trial

VIT = SubSpace(
    "vit",
    {"arch": Fixed("test_vit"), "size": Choice((32, (64, 32))), "lr": Range(1e-4, 1e-2, log=True)},
)
CONVNEXT = SubSpace(
    "convnext",
    {"arch": Fixed("test_convnext"), "size": Fixed(48), "lr": Range(1e-4, 1e-2, log=True)},
)
OUTSIDE = Recipe("outside", {"arch": "test_resnet", "size": 96, "lr": 1.0})
INSIDE = Recipe("inside", {"arch": "test_vit", "size": (64, 32), "lr": 2e-3})


def test_recipes_come_first_and_in_order_whether_or_not_the_space_contains_them() -> None:
    sampler = MemberSampler([OUTSIDE, INSIDE], [VIT, CONVNEXT], seed=0)
    first, second, third = (sampler.ask() for _ in range(3))
    assert first
    assert second
    assert third
    assert (first.origin, second.origin) == ("outside", "inside")
    assert (first.config.arch, first.config.lr) == ("test_resnet", 1.0)
    assert (second.config.size, second.config.lr) == ((64, 32), 2e-3)
    assert third.origin in ("vit", "convnext")


def test_a_proposal_says_what_proposed_it_and_a_resume_keeps_that() -> None:
    frozen = SubSpace(
        "frozen",
        {"arch": Choice(("test_vit", "test_convnext")), "schedule": Fixed("frozen"), "size": Fixed(32)},
    )
    sampler = MemberSampler([INSIDE], [frozen, VIT], seed=0)
    proposals = []
    for _ in range(START + 1):
        proposal = sampler.ask()
        assert proposal
        sampler.tell(proposal.number, 0.5, {}, pruned=False)
        proposals.append(proposal)
    random = START - 3
    wanted = ["list", "list", "recipe", *["random"] * random, "sampler"]
    assert [proposal.proposed_by for proposal in proposals] == wanted
    past = [PastTrial(proposal, ended=proposal is not proposals[-1], value=0.5) for proposal in proposals]
    assert MemberSampler([INSIDE], [frozen, VIT], seed=0).replay(past) == [proposals[-1]]


def test_the_sampler_learns_from_a_recipe_that_the_space_contains() -> None:
    sampler = MemberSampler([OUTSIDE, INSIDE], [VIT, CONVNEXT], seed=0)
    for _ in range(2):
        proposal = sampler.ask()
        assert proposal
        sampler.tell(proposal.number, 0.5, {}, pruned=False)
    outside, inside = sampler.trials()
    assert outside.params == {}
    assert inside.params == {"space": "vit", "size": 1, "lr": 2e-3}


def test_every_proposal_lies_in_its_sub_space() -> None:
    sampler = MemberSampler([], [VIT, CONVNEXT], seed=1)
    for _ in range(30):
        proposal = sampler.ask()
        assert proposal
        sampler.tell(proposal.number, proposal.config.lr, {}, pruned=False)
        sizes = {"vit": {(32, 32), (64, 32)}, "convnext": {(48, 48)}}[proposal.origin]
        assert proposal.config.size in sizes
        assert 1e-4 <= proposal.config.lr <= 1e-2


def test_a_proposed_number_has_four_significant_digits_in_config_and_study() -> None:
    """A person reads the same value everywhere, and a resumed sampler knows the same study."""
    sampler = MemberSampler([], [CONVNEXT], seed=1)
    for _ in range(20):
        proposal = sampler.ask()
        assert proposal
        assert proposal.config.lr == float(f"{proposal.config.lr:.4g}")
        assert sampler.trials()[-1].params["lr"] == proposal.config.lr
        sampler.tell(proposal.number, proposal.config.lr, {}, pruned=False)


def test_the_sampler_prefers_values_with_a_low_objective() -> None:
    sampler = MemberSampler([], [VIT], seed=3)
    late: list[float] = []
    for number in range(60):
        proposal = sampler.ask()
        assert proposal
        distance = abs(math.log10(proposal.config.lr) + 3)
        sampler.tell(proposal.number, distance, {}, pruned=False)
        if number >= 40:
            late.append(distance)
    assert sum(late) / len(late) < 0.25  # at random, the mean distance on this range is 0.5


def test_without_sub_spaces_proposals_end_after_the_recipes() -> None:
    sampler = MemberSampler([INSIDE], [], seed=0)
    assert sampler.ask()
    assert sampler.ask() is None


def test_members_have_their_own_seeds_and_descriptive_names() -> None:
    sampler = MemberSampler([INSIDE], [CONVNEXT], seed=7)
    first, second = sampler.ask(), sampler.ask()
    assert first
    assert second
    assert (first.config.seed, second.config.seed) == (7, 8)
    assert first.member == "0000-test_vit-64x32"
    assert second.member == "0001-test_convnext-48"


def test_a_name_has_no_tag_of_pretrained_weights_and_a_resume_keeps_the_recorded_one() -> None:
    config = MemberConfig(arch="convnext_tiny.fb_in22k", size=224)
    proposal = Proposal(7, "nets", config)
    assert proposal.member == "0007-convnext_tiny-224"
    before = replace(proposal, recorded_as="0007-convnext_tiny.fb_in22k-224")
    waiting = MemberSampler([], [CONVNEXT], seed=5).replay([PastTrial(before, ended=False)])
    assert waiting[-1].member == "0007-convnext_tiny.fb_in22k-224"


def test_the_same_seed_proposes_the_same_members() -> None:
    one, other = (MemberSampler([], [VIT, CONVNEXT], seed=5) for _ in range(2))
    assert [one.ask() for _ in range(5)] == [other.ask() for _ in range(5)]


def test_a_domain_that_is_the_same_in_all_sub_spaces_is_learnt_once() -> None:
    other = SubSpace("other", {"lr": Range(1e-4, 1e-2, log=True), "size": Choice((64, 96))})
    names = parameter_names([VIT, other])
    assert names[0, "lr"] == names[1, "lr"] == "lr"
    assert (names[0, "size"], names[1, "size"]) == ("vit.size", "other.size")


def test_a_trial_without_a_score_is_a_failure_and_one_stopped_early_is_pruned_with_its_curve() -> None:
    sampler = MemberSampler([], [VIT], seed=0)
    failed, stopped = sampler.ask(), sampler.ask()
    assert failed
    assert stopped
    sampler.tell(failed.number, None, {1: 0.9}, pruned=False)
    sampler.tell(stopped.number, None, {1: 0.9, 2: 0.7}, pruned=True)
    first, second = sampler.trials()
    assert first.state.name == "FAIL"
    assert (second.state.name, second.intermediate_values) == ("PRUNED", {1: 0.9, 2: 0.7})


def test_telling_twice_changes_nothing() -> None:
    sampler = MemberSampler([], [VIT], seed=0)
    proposal = sampler.ask()
    assert proposal
    sampler.tell(proposal.number, 0.5, {}, pruned=False)
    sampler.tell(proposal.number, None, {}, pruned=False)
    assert sampler.trials()[0].value == 0.5


def test_a_resumed_search_proposes_the_same_members_as_an_uninterrupted_one() -> None:
    """Each trial has its own random stream, so no generator state is lost with the process."""
    scores = {0: 0.5, 1: 0.4, 2: 0.3, 3: 0.45}
    whole = MemberSampler([OUTSIDE, INSIDE], [VIT, CONVNEXT], seed=4)
    proposals = [ask(whole) for _ in range(5)]
    for number, score in scores.items():
        whole.tell(number, score, {}, pruned=False)
    past = [
        PastTrial(proposal, proposal.number in scores, scores.get(proposal.number)) for proposal in proposals
    ]
    again = MemberSampler([OUTSIDE, INSIDE], [VIT, CONVNEXT], seed=4)
    assert again.replay(past) == proposals[4:]
    assert [trial.params for trial in again.trials()] == [trial.params for trial in whole.trials()]
    assert [trial.value for trial in again.trials()] == [trial.value for trial in whole.trials()]
    assert [again.ask() for _ in range(8)] == [whole.ask() for _ in range(8)]


def test_a_resumed_search_knows_the_curve_of_a_trial_that_was_stopped_early() -> None:
    proposal = ask(MemberSampler([], [VIT], seed=0))
    again = MemberSampler([], [VIT], seed=0)
    assert again.replay([PastTrial(proposal, True, curve={1: 0.9, 2: 0.7})]) == []
    (trial,) = again.trials()
    assert (trial.state.name, trial.intermediate_values) == ("PRUNED", {1: 0.9, 2: 0.7})


def test_a_recipe_that_was_proposed_but_never_recorded_is_proposed_again() -> None:
    first, second, third = (ask(sampler) for sampler in [MemberSampler([OUTSIDE, INSIDE], [VIT], seed=0)] * 3)
    again = MemberSampler([OUTSIDE, INSIDE], [VIT], seed=0)
    assert again.replay([PastTrial(third, False), PastTrial(first, True, 0.5)]) == [second, third]


@pytest.mark.parametrize(("done", "first"), [(0, 2), (1, 1)])
def test_resumed_trials_start_first_if_the_rest_of_their_epochs_fits_the_time(done: int, first: int) -> None:
    sampler = MemberSampler([], [VIT], seed=0)
    past = [
        PastTrial(ask(sampler), True, 0.5),
        PastTrial(ask(sampler), False, curve={done: 0.9} if done else {}),
    ]
    epochs = past[1].proposal.config.total_epochs
    again = MemberSampler([], [VIT], seed=0)
    paces = MemberPaces(lambda config: float(config.total_epochs), in_seconds=True)
    left = SAFETY * (epochs - 0.5)
    interruption = Interruption(budget=budget_of(left))
    searcher = MemberSearcher(again, interruption, trials=9, paces=paces, plan=on_cpu, past=past)
    assert searcher.suggest("a")["number"] == first


def test_a_member_that_cannot_end_in_time_is_skipped_and_then_nothing_is_proposed() -> None:
    paces = MemberPaces(lambda _: 100.0, in_seconds=True)
    interruption = Interruption(budget=budget_of(99.0))
    sampler = MemberSampler([], [VIT], seed=0)
    searcher = MemberSearcher(sampler, interruption, trials=3, paces=paces, plan=on_cpu)
    assert searcher.suggest("a") == Searcher.FINISHED
    assert not searcher.unfinished


def test_the_last_member_is_shortened_to_the_time_that_is_left() -> None:
    paces = MemberPaces(lambda config: float(config.total_epochs), in_seconds=True)
    whole = ask(MemberSampler([], [VIT], seed=0)).config
    interruption = Interruption(budget=budget_of(SAFETY * (whole.total_epochs - 1.5)))
    sampler = MemberSampler([], [VIT], seed=0)
    searcher = MemberSearcher(sampler, interruption, trials=3, paces=paces, plan=on_cpu)
    assert searcher.suggest("a")["config"]["epochs"] == whole.epochs - 2


def test_finished_members_tell_the_searcher_how_long_others_take() -> None:
    """Without a known speed the first member begins; it takes 100 s, and fewer are left for the second."""
    now = [0.0]
    paces = MemberPaces(lambda _: 1.0, in_seconds=False)
    budget = TimeBudget(0.0, 200.0, clock=lambda: now[0])
    sampler = MemberSampler([], [VIT], seed=0)
    searcher = MemberSearcher(sampler, Interruption(budget=budget), trials=9, paces=paces, plan=on_cpu)
    assert searcher.suggest("a") != Searcher.FINISHED
    now[0] = 100.0
    searcher.on_trial_complete("a", {"outcome": "finished", "objective": 0.4, "train_seconds_total": 100.0})
    assert paces.seconds(ask(MemberSampler([], [VIT], seed=1)).config) == 100.0
    assert searcher.suggest("b") == Searcher.FINISHED


def test_a_member_waits_until_others_show_that_it_ends_in_time() -> None:
    """It is forecast to take longer than is left; the first member takes a tenth of its forecast."""
    budget = TimeBudget(0.0, 1000.0, clock=lambda: 0.0)
    lengths = {"test_resnet": 100.0, "test_vit": 5000.0}
    paces = MemberPaces(lambda config: lengths[config.arch], in_seconds=True)
    sampler = MemberSampler([OUTSIDE, INSIDE], [], seed=0)
    searcher = MemberSearcher(sampler, Interruption(budget=budget), trials=2, paces=paces, plan=on_cpu)
    assert Trial.from_config(searcher.suggest("a")).config.arch == "test_resnet"
    assert searcher.suggest("b") is None  # Ray asks again
    searcher.on_trial_complete("a", {"outcome": "finished", "objective": 0.5, "train_seconds_total": 10.0})
    assert Trial.from_config(searcher.suggest("b")).config.arch == "test_vit"
    searcher.on_trial_complete("b", {"outcome": "finished", "objective": 0.5})
    assert not searcher.unfinished


def ending_search(*, left: float, trials: int = 9) -> MemberSearcher:
    """Return a searcher whose two recipes are done, and both in the ensemble; 400 s and 10 s long."""
    sampler = MemberSampler([OUTSIDE, INSIDE], [], seed=0)
    now = [0.0]
    whole = TimeBudget(0.0, 10_000.0, clock=lambda: now[0])
    paces = MemberPaces(lambda config: 400.0 if config.arch == "test_resnet" else 10.0, in_seconds=True)
    searcher = MemberSearcher(
        sampler,
        Interruption(budget=whole),
        trials=trials,
        paces=paces,
        plan=on_cpu,
        contributors=lambda: {"0000-test_resnet-96": 0.6, "0001-test_vit-64x32": 0.4, "0002-x": 0.0},
    )
    for trial in "ab":
        searcher.suggest(trial)
        searcher.on_trial_complete(trial, {"outcome": "finished", "objective": 0.5})
    now[0] = whole.left() - left
    return searcher


def test_time_that_nothing_else_fits_repeats_contributors_to_the_ensemble_with_other_seeds() -> None:
    searcher = ending_search(left=1000.0)
    configs = [Trial.from_config(searcher.suggest(trial)) for trial in "cde"]
    assert [trial.config.arch for trial in configs] == ["test_resnet", "test_vit", "test_resnet"]
    assert [trial.proposed_by for trial in configs] == ["repeat"] * 3
    assert [trial.config.seed for trial in configs] == [2, 3, 4]
    assert configs[0].config.lr == OUTSIDE.values["lr"]


def test_a_repeat_ends_in_time_and_counts_as_a_trial() -> None:
    searcher = ending_search(left=20.0, trials=3)
    assert Trial.from_config(searcher.suggest("c")).config.arch == "test_vit"
    assert searcher.suggest("d") == Searcher.FINISHED


def test_a_member_whose_repeat_failed_is_not_repeated_again() -> None:
    searcher = ending_search(left=20.0)
    assert Trial.from_config(searcher.suggest("c")).config.arch == "test_vit"
    searcher.on_trial_complete("c", {"outcome": "diverged", "epoch": 0})
    assert searcher.suggest("d") == Searcher.FINISHED


def test_a_member_whose_repeat_the_scheduler_stopped_may_be_repeated() -> None:
    searcher = ending_search(left=20.0)
    searcher.suggest("c")
    searcher.on_trial_complete("c", {"epoch": 1, "objective": 0.5})
    assert Trial.from_config(searcher.suggest("d")).proposed_by == "repeat"


def test_the_sampler_learns_nothing_from_a_repeat() -> None:
    sampler = MemberSampler([], [VIT], seed=0)
    sampler.again(ask(sampler))
    first, repeat = sampler.trials()
    assert first.params
    assert not repeat.params


def test_a_search_without_a_time_repeats_nothing() -> None:
    sampler = MemberSampler([INSIDE], [], seed=0)
    searcher = MemberSearcher(
        sampler,
        Interruption(),
        trials=9,
        paces=UNKNOWN,
        plan=on_cpu,
        contributors=lambda: {"0000-test_vit-64x32": 1.0},
    )
    assert searcher.suggest("a") != Searcher.FINISHED
    assert searcher.suggest("b") == Searcher.FINISHED


def test_the_sampler_knows_a_repeat_again_after_a_resume() -> None:
    first = MemberSampler([INSIDE], [VIT], seed=0)
    past = [ask(first), ask(first)]
    past += [first.again(proposal) for proposal in past]
    for proposal in past:
        first.tell(proposal.number, 0.5, {}, pruned=False)
    again = MemberSampler([INSIDE], [VIT], seed=0)
    assert not again.replay([PastTrial(proposal, ended=True, value=0.5) for proposal in past])
    assert [trial.params for trial in again.trials()] == [trial.params for trial in first.trials()]
    assert ask(again) == ask(first)


def test_members_that_do_not_run_do_not_count_as_trials() -> None:
    """The second member does not fit; the two members asked for are the first and the third."""
    budget = TimeBudget(0.0, 1000.0, clock=lambda: 0.0)
    paces = MemberPaces(lambda config: 5000.0 if config.arch == "test_vit" else 10.0, in_seconds=True)
    sampler = MemberSampler([OUTSIDE, INSIDE], [CONVNEXT], seed=0)
    searcher = MemberSearcher(sampler, Interruption(budget=budget), trials=2, paces=paces, plan=on_cpu)
    found = [Trial.from_config(searcher.suggest(trial)).config.arch for trial in "ab"]
    assert found == ["test_resnet", "test_convnext"]
    for trial in "ab":
        searcher.on_trial_complete(trial, {"outcome": "finished", "objective": 0.5})
    assert searcher.suggest("c") == Searcher.FINISHED
    assert not searcher.unfinished


def test_a_resumed_search_trains_no_more_members_than_it_has_trials() -> None:
    """A number that no member was recorded under does not count."""
    proposals = [Proposal(number, "outside", MemberConfig(arch="test_resnet")) for number in (0, 2)]
    past = [PastTrial(proposal, ended=True, value=0.5) for proposal in proposals]
    again = MemberSampler([], [CONVNEXT], seed=0)
    searcher = MemberSearcher(again, Interruption(), trials=3, paces=UNKNOWN, plan=on_cpu, past=past)
    assert searcher.left == 1
    assert searcher.suggest("a")["number"] == 1
    searcher.on_trial_complete("a", {"outcome": "finished", "objective": 0.5})
    assert searcher.suggest("b") == Searcher.FINISHED


@pytest.mark.parametrize("recipe", [True, False])
def test_a_resumed_search_knows_members_that_were_shortened(*, recipe: bool) -> None:
    """By the parameters that they were proposed with, as the sampler of the first session does."""
    space = replace(CONVNEXT, domains={**CONVNEXT.domains, "epochs": Fixed(9)})
    recipes = (
        [Recipe("known", {"arch": "test_convnext", "size": 48, "lr": 2e-3, "epochs": 9})] if recipe else []
    )
    proposal = MemberSampler(recipes, [space], seed=0).ask()
    assert proposal
    shorter = replace(proposal, config=proposal.config.model_copy(update={"epochs": 4}))
    again = MemberSampler(recipes, [space], seed=0)
    assert again.replay([PastTrial(shorter, ended=True, value=0.5)]) == []
    (trial,) = again.trials()
    assert trial.params == {"lr": proposal.config.lr}
    following = again.ask()
    assert following
    assert following.origin == "convnext"


def test_an_interrupted_search_starts_no_trial() -> None:
    sampler = MemberSampler([], [VIT], seed=0)
    interruption = Interruption()
    searcher = MemberSearcher(sampler, interruption, trials=9, paces=UNKNOWN, plan=on_cpu)
    interruption.signal = signal.SIGINT
    assert searcher.suggest("a") == Searcher.FINISHED


def ask(sampler: MemberSampler) -> Proposal:
    proposal = sampler.ask()
    assert proposal
    return proposal


def on_cpu(_config: MemberConfig, _running: Sequence[TrialMemory] = ()) -> TrialMemory:
    return TrialMemory(gpu=0.0, accum=1)


UNKNOWN = MemberPaces(lambda _: None, in_seconds=False)


def budget_of(left: float) -> TimeBudget:
    """Return a budget with this much time for training, in s, on a clock that stands still."""
    whole = TimeBudget(0.0, 10_000.0, clock=lambda: 0.0)
    return TimeBudget(left - whole.left(), 10_000.0, clock=lambda: 0.0, opened=left - whole.left())


def make_searcher(left: float = math.inf) -> MemberSearcher:
    sampler = MemberSampler([], [VIT], seed=0)
    budget = UNLIMITED if left == math.inf else budget_of(left)
    return MemberSearcher(sampler, Interruption(budget=budget), trials=2, paces=UNKNOWN, plan=on_cpu)


@pytest.fixture
def searcher() -> MemberSearcher:
    return make_searcher()


def test_the_searcher_ends_after_its_trials(searcher: MemberSearcher) -> None:
    assert searcher.suggest("a")["number"] == 0
    assert searcher.suggest("b")["number"] == 1
    assert searcher.suggest("c") == Searcher.FINISHED


def test_the_searcher_starts_no_trial_after_its_time() -> None:
    assert make_searcher(left=0.0).suggest("a") == Searcher.FINISHED


def test_the_searcher_reports_outcomes_and_ignores_a_second_report(searcher: MemberSearcher) -> None:
    for trial in ("a", "b"):
        searcher.suggest(trial)
        searcher.on_trial_result(trial, {"epoch": 1, "objective": 0.8})
    searcher.on_trial_complete("a", {"outcome": "finished", "objective": 0.4})
    searcher.on_trial_complete("a", error=True)
    searcher.on_trial_complete("b", {"outcome": "infeasible", "epoch": 0})
    first, second = searcher.sampler.trials()
    assert (first.state.name, first.value) == ("COMPLETE", 0.4)
    assert second.state.name == "FAIL"


def test_a_flat_search_starts_no_further_member_once_the_known_ones_have_ended() -> None:
    """Recipes run whatever the curve; a running member ends normally, and the sampler forgets no trial."""
    sampler = MemberSampler([INSIDE], [VIT], seed=0)
    searcher = MemberSearcher(sampler, Interruption(), trials=9, paces=UNKNOWN, plan=on_cpu)
    searcher.is_flat = lambda: True
    for trial in "ab":  # the sampled one starts while the recipe runs
        assert searcher.suggest(trial) != Searcher.FINISHED
    searcher.on_trial_complete("a", {"outcome": "finished", "objective": 0.5})
    assert not searcher.ended_flat
    assert searcher.suggest("c") == Searcher.FINISHED
    assert searcher.ended_flat
    searcher.on_trial_complete("b", {"outcome": "finished", "objective": 0.5})
    assert not searcher.unfinished


def test_a_search_whose_members_fail_waits_for_those_that_run_and_ends_if_they_fail_too() -> None:
    searcher = make_searcher()
    assert searcher.suggest("a")
    searcher.failing = lambda: True
    assert searcher.suggest("b") is None  # Ray asks again
    assert not searcher.ended_failing
    searcher.on_trial_complete("a", {"outcome": "failed", "epoch": 0})
    assert searcher.suggest("b") == Searcher.FINISHED
    assert searcher.ended_failing


def test_a_search_whose_last_trials_failed_has_nothing_to_go_on_with() -> None:
    searcher = make_searcher()
    searcher._recorded.update((0, 1))
    searcher.failing = lambda: True
    assert searcher.suggest("c") == Searcher.FINISHED
    assert not searcher.ended_failing


def test_a_search_without_further_trials_does_not_end_for_being_flat() -> None:
    sampler = MemberSampler([], [VIT], seed=0)
    searcher = MemberSearcher(sampler, Interruption(), trials=1, paces=UNKNOWN, plan=on_cpu)
    searcher.is_flat = lambda: True
    searcher._recorded.add(0)
    assert searcher.suggest("a") == Searcher.FINISHED
    assert not searcher.ended_flat
