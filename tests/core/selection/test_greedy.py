import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.core.conftest import RealPool, random_pool
from tune_paddy.core.metrics import METRICS, log_loss
from tune_paddy.core.selection.greedy import GreedyPath, Pick, run_greedy
from tune_paddy.core.selection.greedy_any import AnyScorer
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.plain import greedy_select
from tune_paddy.core.tasks.arrays import Floats, Labels

FAST = ("log_loss", "error_rate", "balanced_error")


def reference(probs: Floats, labels: Labels, metric: str, rounds: int) -> tuple[list[int], list[float]]:
    """Naive greedy selection in float64: score and sort every candidate's mean."""
    total = np.zeros(probs.shape[1:])
    order, scores = [], []
    for count in range(1, rounds + 1):
        ranking = []
        for view, candidate in enumerate(probs):
            mean = (total + candidate) / count
            ranking.append(
                (round(METRICS[metric](mean, labels), 11), round(log_loss(mean, labels), 11), view)
            )
        score, _, best = min(ranking)
        total += probs[best]
        order.append(best)
        scores.append(score)
    return order, scores


@pytest.mark.parametrize("metric", METRICS)
def test_real_pool_follows_the_plain_reference(real_pool: RealPool, metric: str) -> None:
    """The same views in the same order, and the same scores."""
    rounds = 25 if metric in FAST else 3
    probs, labels = real_pool.probs, real_pool.labels
    selection = greedy_select(probs, labels, metric=metric, rounds=rounds)
    order, scores = reference(probs, labels, metric, rounds)
    assert list(selection.order) == order
    np.testing.assert_allclose(selection.trajectory, scores, atol=1e-10)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    views=st.integers(1, 12),
    images=st.integers(4, 90),
    classes=st.integers(2, 4),
    metric=st.sampled_from(FAST),
)
def test_ties_zeros_and_duplicates_follow_the_plain_reference(
    seed: int, views: int, images: int, classes: int, metric: str
) -> None:
    """Pools of quarters and thirds tie often: the result is exact not only for smooth pools."""
    probs, labels = random_pool(seed, views, images, classes)
    selection = greedy_select(probs, labels, metric=metric, rounds=8)
    order, scores = reference(probs, labels, metric, 8)
    assert list(selection.order) == order
    np.testing.assert_allclose(selection.trajectory, scores, atol=1e-10)


@pytest.mark.parametrize("metric", ["error_rate", "balanced_error"])
def test_the_fast_scorer_equals_the_general_one(real_pool: RealPool, metric: str) -> None:
    """Two independent implementations take the same path."""
    probs, labels = real_pool.probs, real_pool.labels
    general = AnyScorer(probs, labels, true_class_rows(probs, labels), METRICS[metric])
    path = run_greedy(general, 20)
    assert greedy_select(probs, labels, metric=metric, rounds=20).order == tuple(p.view for p in path.picks)


@pytest.mark.parametrize("metric", FAST)
def test_more_views_than_one_chunk_change_nothing(metric: str) -> None:
    """With more images than a chunk holds, the views are processed one by one."""
    probs, labels = random_pool(3, views=5, images=140_000, classes=3)
    order, scores = reference(probs, labels, metric, 4)
    selection = greedy_select(probs, labels, metric=metric, rounds=4)
    assert list(selection.order) == order
    np.testing.assert_allclose(selection.trajectory, scores, atol=1e-10)


def path_of(*scores: tuple[float, float]) -> GreedyPath:
    """Path of a run with these scores and log losses."""

    class Scripted:
        def __init__(self) -> None:
            self.picks = iter(Pick(view, *pair) for view, pair in enumerate(scores))

        def best(self) -> Pick:
            return next(self.picks)

        def add(self, view: int) -> None:
            del view

    return run_greedy(Scripted(), len(scores))


def test_the_best_prefix_is_kept() -> None:
    """Rounds after the lowest score are cut."""
    assert path_of((0.3, 0.3), (0.1, 0.1), (0.2, 0.2)).kept == 2


def test_equal_scores_keep_the_lower_log_loss() -> None:
    """The log loss breaks ties of the metric."""
    assert path_of((0.1, 0.9), (0.1, 0.5), (0.1, 0.7)).kept == 2


def test_equal_prefixes_keep_the_shorter() -> None:
    """Rounding differences do not justify a longer ensemble."""
    assert path_of((0.1, 0.5), (0.1, 0.5 - 1e-15)).kept == 1


def test_weights_are_shares_of_the_kept_rounds() -> None:
    """A view picked twice in four rounds has weight a half."""
    picks = tuple(Pick(view, 1.0, 1.0) for view in (2, 0, 2, 1, 1))
    weights: NDArray[np.float64] = GreedyPath(picks, kept=4).weights(5)
    assert weights.tolist() == [0.25, 0.25, 0.5, 0, 0]
