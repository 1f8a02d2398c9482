import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.conftest import RealPool, random_pool
from tune_paddy.core.estimate import assess
from tune_paddy.core.metrics import METRICS, Floats, Labels, log_loss
from tune_paddy.core.selection import bagging
from tune_paddy.core.selection.auto import REPEATS, auto_select, compare, score_halves
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.plain import greedy_select, uniform_select
from tune_paddy.core.selection.result import Selection


@pytest.fixture(scope="module")
def chosen(real_pool: RealPool) -> Selection:
    """The automatic choice on the real pool."""
    return auto_select(real_pool.probs, real_pool.labels)


def test_the_choice_is_better_on_new_images(real_pool: RealPool, chosen: Selection) -> None:
    """The automatic choice beats greedy selection by a tenth of the log loss."""
    test, labels = real_pool.test_probs, real_pool.test_labels
    greedy = greedy_select(real_pool.probs, real_pool.labels)
    assert log_loss(chosen.blend(test), labels) < 0.9 * log_loss(greedy.blend(test), labels)


def test_the_table_holds_every_method_once(chosen: Selection) -> None:
    """The table starts with the simplest method, and marks the method of the selection."""
    assert [candidate.method for candidate in chosen.candidates] == list(METHODS)
    assert [candidate.method for candidate in chosen.candidates if candidate.chosen] == [chosen.method]


def test_the_selection_is_the_chosen_method_on_all_images(real_pool: RealPool, chosen: Selection) -> None:
    """Cross-fitting affects only the choice of the method."""
    direct = METHODS[chosen.method](real_pool.probs, real_pool.labels, metric="log_loss", seed=0)
    assert direct.weights.tobytes() == chosen.weights.tobytes()


def test_a_second_run_gives_the_same(real_pool: RealPool, chosen: Selection) -> None:
    """The choice is deterministic for a seed."""
    assert auto_select(real_pool.probs, real_pool.labels).to_dict() == chosen.to_dict()


def test_no_image_is_scored_by_a_selection_that_was_fitted_on_it(real_pool: RealPool) -> None:
    """A method that remembers its images is scored on all other images, and on none of its own."""
    numbered = np.arange(len(real_pool.labels))
    probs = real_pool.probs[:2].copy()
    probs[0, :, 0] = numbered / len(numbered)  # the first column of the first view identifies the image
    seen: list[set[int]] = []

    class Spy(Selection):
        def blend(self, probs):
            images = set(np.rint(probs[0, :, 0] * len(numbered)).astype(int).tolist())
            assert not images & seen[-1]
            assert images | seen[-1] == set(numbered.tolist())
            return super().blend(probs)

    def spy(probs, *_, **__):
        seen.append(set(np.rint(probs[0, :, 0] * len(numbered)).astype(int).tolist()))
        return Spy(np.array([0.5, 0.5]), 0.0)

    score_halves(probs, real_pool.labels, "log_loss", 0, {"spy": spy})
    assert len(seen) == 2 * REPEATS


def test_the_simplest_within_one_standard_error_is_chosen() -> None:
    """The first method is clearly worse, the second is indistinguishable from the best, the third is best."""
    noise = np.array([0.1, -0.1] * 5)
    scores = np.stack([np.full(10, 1.5), np.full(10, 1.01) + noise, np.full(10, 1.0)])
    table = compare(["a", "b", "c"], scores)
    assert [candidate.chosen for candidate in table] == [False, True, False]
    assert table[1].difference == pytest.approx(0.01)
    assert table[1].standard_error == pytest.approx(0.1 / 3)
    assert table[2].difference == 0


@pytest.mark.parametrize(("behind", "used"), [(0.12, "log_linear"), (0.14, "top")])
def test_the_preferred_method_is_used_unless_another_is_clearly_better(behind: float, used: str) -> None:
    """Its standard error is 0.1 / 3; among clearly better ones, the simplest near the best is chosen."""
    noise = np.array([0.1, -0.1] * 5)
    scores = np.stack(
        [np.full(10, 1.5), np.full(10, 1.01) + noise, np.full(10, 1 + behind) + noise, np.full(10, 1.0)]
    )
    table = compare(["uniform", "top", "log_linear", "greedy"], scores)
    assert [candidate.method for candidate in table if candidate.chosen] == [used]


def test_a_clear_winner_is_chosen_even_if_complex() -> None:
    """Simplicity does not outweigh a difference beyond the noise."""
    scores = np.stack([np.full(10, 1.2) + np.array([0.1, -0.1] * 5), np.full(10, 1.0)])
    assert [candidate.chosen for candidate in compare(["a", "b"], scores)] == [False, True]


def test_views_that_are_all_the_same_are_averaged() -> None:
    """If no choice of views gains anything, the simplest method is chosen."""
    probs, labels = random_pool(0, views=1)
    methods = {name: METHODS[name] for name in ("uniform", "best_single", "greedy", "bagged")}
    assert auto_select(np.repeat(probs, 4, axis=0), labels, methods=methods).method == "uniform"


@pytest.mark.parametrize("metric", METRICS)
def test_the_choice_works_with_every_metric(real_pool: RealPool, metric: str) -> None:
    """The score is that metric's, and no worse than the uniform mean's on these images."""
    probs, labels = real_pool.probs[::4], real_pool.labels
    methods = {name: METHODS[name] for name in ("uniform", "log_linear", "greedy")}
    if metric in {"macro_f1", "roc_auc"}:
        del methods["greedy"]  # the general path is slow
    selection = auto_select(probs, labels, metric=metric, methods=methods)
    assert selection.metric == metric
    assert selection.score <= uniform_select(probs, labels, metric=metric).score


@settings(max_examples=15, deadline=None)
@given(
    counts=st.lists(st.integers(0, 12), min_size=2, max_size=6).filter(any),
    views=st.integers(1, 5),
    metric=st.sampled_from(sorted(METRICS)),
    seed=st.integers(0, 99),
)
def test_any_class_counts_and_any_number_of_views_give_weights_and_an_estimate(
    counts: list[int], views: int, metric: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Classes may have one image or none; an estimate needs two images.

    Each method selects from all images, with few and short greedy runs; the halves and the folds, a hundred
    fits, are left to quick methods.
    """
    monkeypatch.setattr("tune_paddy.core.estimate.RESAMPLES", 100)
    monkeypatch.setattr(bagging, "BAGS", 5)
    monkeypatch.setattr(bagging, "ROUNDS", 20)
    labels = np.repeat(np.arange(len(counts)), counts)
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(len(counts)), (views, len(labels))).astype(np.float32)
    quick = {name: METHODS[name] for name in ("uniform", "best_single", "log_linear")}

    def choose(part: Floats, truth: Labels) -> Selection:
        return auto_select(part, truth, metric=metric, seed=seed, methods=quick)

    direct = [method(probs, labels, metric=metric, seed=seed) for method in METHODS.values()]
    for selection in (choose(probs, labels), *direct):
        assert selection.weights.min() >= 0
        assert selection.weights.sum() == pytest.approx(1)
        assert np.isfinite(selection.blend(probs)).all()
    if len(labels) > 1:
        found = assess(probs, labels, choose, metric=metric)
        assert np.isfinite(list(vars(found.estimate).values())).all()
        assert found.predictions.shape == probs.shape[1:]
