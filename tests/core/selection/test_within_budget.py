import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.conftest import RealPool, random_pool
from tests.core.selection.test_cost_budget import counted
from tune_paddy.core.errors import InputError
from tune_paddy.core.selection.auto import auto_select, score_halves
from tune_paddy.core.selection.cost_budget import CostBudget, choose_within
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.plain import greedy_select
from tune_paddy.core.selection.within_budget import TRIMMED, budget_auto_select, budget_select, fits

QUICK = {name: METHODS[name] for name in ("uniform", "log_linear", "greedy")}


@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 1.5))
@settings(max_examples=10)
def test_a_limit_binds_or_changes_nothing(seed: int, share: float) -> None:
    probs, labels = random_pool(seed, views=6, images=40)
    rng = np.random.default_rng(seed)
    costs = np.stack([rng.uniform(0.1, 3, len(probs)), np.ones(len(probs))])
    limits = np.maximum(share * costs.sum(axis=1), costs.min(axis=1))
    budget = CostBudget(costs, limits, rng.integers(0, 4, len(probs)))
    for free, bounded in (
        (auto_select(probs, labels, methods=QUICK), budget_auto_select(probs, labels, budget, methods=QUICK)),
        (greedy_select(probs, labels), budget_select(probs, labels, budget, select=METHODS["greedy"])),
    ):
        assert fits(bounded, budget)
        assert bounded.weights.sum() == pytest.approx(1)
        if fits(free, budget):
            assert (bounded.method, bounded.weights.tolist()) == (free.method, free.weights.tolist())


def test_the_unlimited_choice_competes_within_a_limit_that_binds(real_pool: RealPool) -> None:
    """Its own method, cut to its heaviest views, is among the candidates."""
    probs = real_pool.probs[::3]
    free = auto_select(probs, real_pool.labels, methods=QUICK)
    bounded = budget_auto_select(probs, real_pool.labels, counted(8, 3), methods=QUICK)
    assert not fits(free, counted(8, 3))
    names = [candidate.method for candidate in bounded.candidates]
    assert names == [n for name in QUICK for n in (name, TRIMMED.format(name))[: 1 + (name == free.method)]]


def test_no_method_is_preferred_within_a_limit_that_binds(real_pool: RealPool) -> None:
    """The views chosen first may suit it less than its own heaviest ones; two pools show both cases."""
    tables = [
        budget_auto_select(
            real_pool.probs[first::3, :200], real_pool.labels[:200], counted(8, members), methods=QUICK
        ).candidates
        for first, members in ((0, 3), (2, 4))
    ]
    near = [[one.method for one in table if one.difference <= one.standard_error] for table in tables]
    assert [one.method for table in tables for one in table if one.chosen] == [names[0] for names in near]
    assert [names[0] for names in near] == ["log_linear", TRIMMED.format("log_linear")]


def test_a_budget_of_other_shape_is_refused(real_pool: RealPool) -> None:
    with pytest.raises(InputError, match="do not match 24 views"):
        budget_auto_select(real_pool.probs, real_pool.labels, counted(23, 3))


def test_the_selection_gives_weight_only_within_the_budget(real_pool: RealPool) -> None:
    """Weights, order and temperatures count all views of the pool."""
    budget = counted(8, 3)
    selection = budget_auto_select(real_pool.probs[::3], real_pool.labels, budget, methods=QUICK)
    assert selection.weights.shape == (8,)
    assert 1 <= np.count_nonzero(selection.weights) <= 3
    assert selection.weights.sum() == pytest.approx(1)
    assert selection.candidates
    blended = selection.blend(real_pool.test_probs[::3])
    assert blended.shape == (500, 10)


def test_methods_are_compared_on_images_that_had_no_say_in_the_choice_of_views(real_pool: RealPool) -> None:
    """Within a budget, each half chooses its own views: its own scores are those of its methods."""
    probs, labels, budget = real_pool.probs[::2], real_pool.labels, counted(12, 2)

    def within(part, truth, *, metric, seed):
        return budget_select(part, truth, budget, select=METHODS["uniform"], metric=metric, seed=seed)

    (honest,) = score_halves(probs, labels, "log_loss", 0, {"uniform": within})
    (uniform,) = [
        c
        for c in budget_auto_select(probs, labels, budget, methods=QUICK).candidates
        if c.method == "uniform"
    ]
    assert uniform.score == pytest.approx(honest.mean())
    views = np.sort(choose_within(true_class_rows(probs, labels), budget).views)
    (flattered,) = score_halves(probs[views], labels, "log_loss", 0, {"uniform": METHODS["uniform"]})
    assert uniform.score > flattered.mean()


def test_the_order_of_greedy_rounds_counts_all_views(real_pool: RealPool) -> None:
    """The path can be read beside the pool's views."""

    def select(probs, labels, *, metric, seed):
        del seed
        return greedy_select(probs, labels, metric=metric, rounds=10)

    selection = budget_select(real_pool.probs, real_pool.labels, counted(24, 3), select=select)
    assert set(selection.order) >= set(np.flatnonzero(selection.weights).tolist())
