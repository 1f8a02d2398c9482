from itertools import combinations, pairwise

import numpy as np
import pytest

from tests.core.conftest import RealPool
from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import EPS
from tune_paddy.core.selection.cost_budget import (
    CostBudget,
    Means,
    Subset,
    choose_within,
    evaluate,
    frontier,
)
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.plain import greedy_select


def counted(n_views: int, limit: float) -> CostBudget:
    """A limit on the number of members."""
    return CostBudget(np.ones((1, n_views)), np.array([limit]), np.arange(n_views))


def brute_force(rows: np.ndarray, budget: CostBudget) -> Subset:
    """The best of all affordable sets; those within another affordable set cannot be better."""
    largest: list[set[int]] = []
    for size in range(len(rows), 0, -1):
        for views in combinations(range(len(rows)), size):
            if budget.allows(views) and not any(set(views) <= other for other in largest):
                largest.append(set(views))
    means = Means(rows)
    return min((evaluate(means, budget, tuple(views)) for views in largest), key=lambda s: s.log_loss)


@pytest.mark.parametrize("seed", range(6))
def test_twelve_members_match_brute_force(real_pool: RealPool, seed: int) -> None:
    """Two limits at once, members of one and two views: as good as the best of all sets."""
    rng = np.random.default_rng(seed)
    views = rng.permutation(24)[:12]
    rows = true_class_rows(real_pool.probs[views], real_pool.labels)
    groups = np.arange(12) if seed % 2 else np.repeat(np.arange(6), 2)
    budget = CostBudget(np.stack([rng.uniform(0.2, 3, 12), np.ones(12)]), np.array([4.0, 5.0]), groups)
    found = choose_within(rows, budget)
    assert budget.allows(found.views)
    assert found.log_loss == pytest.approx(brute_force(rows, budget).log_loss, abs=3e-5)


def test_views_of_a_member_are_paid_once() -> None:
    """The plain view at 1 minute and the tta view at 5 minutes cost 5 together."""
    budget = CostBudget(np.array([[1.0, 5.0, 2.0]]), np.array([6.0]), np.array([0, 0, 1]))
    assert budget.cost([0, 1]).tolist() == [5]
    assert budget.cost([0, 1, 2]).tolist() == [7]
    assert budget.allows([0, 1])
    assert not budget.allows([1, 2])


def test_a_wide_budget_reaches_the_best_mean(real_pool: RealPool) -> None:
    """Without an effective limit the result is as good as greedy selection."""
    probs = real_pool.probs[::2]
    found = choose_within(true_class_rows(probs, real_pool.labels), counted(12, 12))
    assert found.log_loss <= greedy_select(probs, real_pool.labels).score + 1e-4


def test_one_member_is_the_best_one(real_pool: RealPool) -> None:
    """A budget of one member selects the first greedy pick."""
    rows = true_class_rows(real_pool.probs, real_pool.labels)
    assert (
        choose_within(rows, counted(24, 1)).views
        == greedy_select(real_pool.probs, real_pool.labels).order[:1]
    )


def test_cost_decides_between_equals(real_pool: RealPool) -> None:
    """The cheap copy of a good view beats the expensive one, since it leaves room for more views."""
    rows = true_class_rows(real_pool.probs[::2], real_pool.labels)
    costs = np.concatenate([np.full(12, 6.0), np.ones(12)])[None]
    found = choose_within(np.concatenate([rows, rows]), CostBudget(costs, np.array([6.0]), np.arange(24)))
    assert min(found.views) >= 12
    assert len(found.views) > 1


@pytest.mark.parametrize("scale", [1.0, 1e-13])
def test_the_best_mean_is_found_among_copies_and_zero_probabilities(
    real_pool: RealPool, scale: float
) -> None:
    """No weights of a mean gain more than the tolerance, whose bound is the steepest slope."""
    rows = true_class_rows(real_pool.probs[[0, 0, 8, 14, 18]], real_pool.labels).astype(np.float64)
    rows[:, :5] *= scale
    mix = np.maximum(evaluate(Means(rows), counted(5, 5), (0, 1, 2, 3, 4)).mix, EPS)
    assert (rows / mix).mean(axis=1).max() - 1 <= 1e-5


def test_the_frontier_only_improves(real_pool: RealPool) -> None:
    """Each point costs more than the one before and is better; the ends are the extremes."""
    rows = true_class_rows(real_pool.probs[::2], real_pool.labels)
    costs = np.random.default_rng(0).uniform(0.2, 3, (1, 12))
    points = frontier(rows, CostBudget(costs, np.array([1.0]), np.arange(12)), steps=6)
    assert len(points) > 3
    for before, after in pairwise(points):
        assert before.cost[0] < after.cost[0]
        assert before.log_loss > after.log_loss
    assert points[-1].log_loss == pytest.approx(choose_within(rows, counted(12, 12)).log_loss, abs=3e-5)


def test_nothing_affordable_is_refused_with_both_numbers(real_pool: RealPool) -> None:
    """The message holds the limit and the cost of the cheapest member."""
    rows = true_class_rows(real_pool.probs, real_pool.labels)
    budget = CostBudget(np.full((1, 24), 7.5), np.array([5.0]), np.arange(24))
    with pytest.raises(InputError, match=r"no member is within the budget \(5\): .* takes 7.5"):
        choose_within(rows, budget)


@pytest.mark.parametrize(
    ("costs", "limits", "message"),
    [
        (np.ones((1, 5)), np.ones(1), "do not match 24 views"),
        (np.ones((1, 24)), np.zeros(1), "limits above 0"),
        (-np.ones((1, 24)), np.ones(1), "not negative"),
    ],
)
def test_an_invalid_budget_is_refused(
    real_pool: RealPool, costs: np.ndarray, limits: np.ndarray, message: str
) -> None:
    """Shapes and signs are validated."""
    rows = true_class_rows(real_pool.probs, real_pool.labels)
    with pytest.raises(InputError, match=message):
        choose_within(rows, CostBudget(costs, limits, np.arange(24)))


def test_views_of_a_member_share_a_part_of_their_costs() -> None:
    """The plain pass costs 1; tta adds 4, a larger view costs 2 by itself; another member costs 3."""
    costs, shared = np.array([[1.0, 5.0, 2.0, 3.0]]), np.array([[1.0, 1.0, 0.0, 3.0]])
    budget = CostBudget(costs, np.array([8.0]), np.array([0, 0, 0, 1]), shared)
    assert [budget.cost(views)[0] for views in ([0], [0, 1], [0, 2], [1, 2], [2], [0, 1, 2, 3])] == [
        1, 5, 3, 7, 2, 10
    ]  # fmt: skip
    assert budget.among(np.array([2, 3])).cost([0, 1])[0] == 5


def test_without_shared_parts_the_most_expensive_view_of_a_member_counts() -> None:
    budget = CostBudget(np.array([[1.0, 5.0]]), np.array([8.0]), np.array([0, 0]))
    assert budget.cost([0, 1])[0] == 5
