import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from tests.core.conftest import RealPool, random_pool
from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import METRICS, log_loss
from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.plain import (
    best_single,
    fixed_select,
    greedy_select,
    optimality_gap,
    top_select,
    uniform_select,
)
from tune_paddy.core.selection.result import Candidate, Selection


def best_possible_log_loss(rows: np.ndarray) -> float:
    """Log loss of the best weighted mean, by a convex solver."""
    n_views = len(rows)
    found = minimize(
        lambda w: -np.log(w @ rows).mean(),
        np.full(n_views, 1 / n_views),
        jac=lambda w: -(rows / (w @ rows)).mean(axis=1),
        bounds=[(1e-9, 1)] * n_views,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-10},
    )
    return float(found.fun)


def test_no_weights_gain_more_than_the_gap(real_pool: RealPool) -> None:
    """A convex solver finds nothing beyond the bound, and greedy selection comes close to it."""
    rows = true_class_rows(real_pool.probs, real_pool.labels)
    best = best_possible_log_loss(np.maximum(rows, 1e-12))
    for selection in (
        greedy_select(real_pool.probs, real_pool.labels),
        uniform_select(real_pool.probs, real_pool.labels),
        best_single(real_pool.probs, real_pool.labels),
    ):
        assert selection.gap is not None
        assert selection.score - selection.gap <= best + 1e-9 <= selection.score + 1e-6
    assert greedy_select(real_pool.probs, real_pool.labels).score == pytest.approx(best, rel=0.01)


def test_the_gap_is_zero_at_the_optimum() -> None:
    """Two views that mirror each other: equal weights are best."""
    rows = np.array([[0.9, 0.2], [0.2, 0.9]])
    assert optimality_gap(rows, np.array([0.5, 0.5])) == pytest.approx(0)
    assert optimality_gap(rows, np.array([0.8, 0.2])) > 0.1


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("select", [uniform_select, best_single, top_select])
def test_the_score_is_that_of_the_blend(real_pool: RealPool, select, metric: str) -> None:
    """The reported score equals the score of the blend."""
    selection = select(real_pool.probs, real_pool.labels, metric=metric)
    assert selection.score == METRICS[metric](selection.blend(real_pool.probs), real_pool.labels)


@pytest.mark.parametrize("metric", ["log_loss", "error_rate", "balanced_error"])
def test_the_greedy_score_is_that_of_the_blend(real_pool: RealPool, metric: str) -> None:
    """The path's bookkeeping and the blend agree, and the prefix's last score is the selection's."""
    selection = greedy_select(real_pool.probs, real_pool.labels, metric=metric, rounds=30)
    blended = METRICS[metric](selection.blend(real_pool.probs), real_pool.labels)
    assert selection.score == pytest.approx(blended, abs=1e-12)
    assert selection.score == selection.trajectory[selection.kept - 1] == min(selection.trajectory)


def test_greedy_beats_its_parts(real_pool: RealPool) -> None:
    """On the images of the selection it is no worse than the best view and better than the uniform mean."""
    greedy = greedy_select(real_pool.probs, real_pool.labels)
    assert greedy.score <= best_single(real_pool.probs, real_pool.labels).score
    assert greedy.score < uniform_select(real_pool.probs, real_pool.labels).score


def test_the_first_of_equal_views_is_chosen() -> None:
    """A copy of a view never gets weight: ties go to the earlier one."""
    probs, labels = random_pool(5)
    doubled = np.concatenate([probs, probs])
    for metric in METRICS:
        weights = greedy_select(doubled, labels, metric=metric, rounds=10).weights
        assert not weights[len(probs) :].any()


def test_a_second_run_gives_the_same_bytes(real_pool: RealPool) -> None:
    """Greedy selection is deterministic."""
    first, second = (greedy_select(real_pool.probs, real_pool.labels) for _ in range(2))
    assert first.weights.tobytes() == second.weights.tobytes()
    assert first.trajectory == second.trajectory


@pytest.mark.parametrize("metric", ["log_loss", "error_rate"])
def test_a_memory_mapped_pool_gives_the_same(real_pool: RealPool, tmp_path: Path, metric: str) -> None:
    """The pool may be a read-only file on disk."""
    np.save(tmp_path / "pool.npy", real_pool.probs)
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    from_disk = greedy_select(mapped, real_pool.labels, metric=metric, rounds=10)
    from_memory = greedy_select(real_pool.probs, real_pool.labels, metric=metric, rounds=10)
    assert from_disk.to_dict() == from_memory.to_dict()


@pytest.mark.parametrize("metric", ["log_loss", "error_rate"])
@pytest.mark.parametrize("classes", [2, 10])
def test_memory_stays_within_half_of_the_pool(metric: str, classes: int) -> None:
    """The limit excludes the pool; error rates of two classes hold two more float32 per value."""
    probs, labels = random_pool(0, views=60, images=20_000, classes=classes)
    allowed = 0.5 if (metric, classes) != ("error_rate", 2) else 1.6
    tracemalloc.start()
    greedy_select(probs, labels, metric=metric, rounds=5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < allowed * probs.nbytes + 8 * 2**20


def test_fixed_weights_are_scaled_to_sum_to_one(real_pool: RealPool) -> None:
    """The notebook counts one view twice."""
    weights = np.zeros(24)
    weights[[3, 7]] = 2, 1
    selection = fixed_select(real_pool.probs, real_pool.labels, weights)
    assert selection.weights[[3, 7]].tolist() == [2 / 3, 1 / 3]
    twice = real_pool.probs[[3, 3, 7]].mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(selection.blend(real_pool.probs), twice)
    assert selection.score == pytest.approx(log_loss(twice, real_pool.labels))


@pytest.mark.parametrize(
    "weights", [[1.0], [0.0] * 8, [-1.0] + [1.0] * 7, [float("nan")] * 8, [float("inf")] + [0.0] * 7]
)
def test_unusable_fixed_weights_are_refused(weights: list[float]) -> None:
    """Too few, all-zero, negative and non-finite weights are invalid."""
    probs, labels = random_pool(0)
    with pytest.raises(InputError, match="need 8 weights"):
        fixed_select(probs, labels, weights)


@pytest.mark.parametrize("name", METHODS)
def test_json_gives_back_a_selection_that_blends_the_same(real_pool: RealPool, name: str) -> None:
    """The fields that blending needs are sufficient."""
    selection = METHODS[name](real_pool.probs, real_pool.labels, metric="log_loss", seed=0)
    text = json.dumps(selection.to_dict(), allow_nan=False)
    again = Selection.from_dict(json.loads(text))
    assert again.to_dict() == selection.to_dict()
    needed = {
        key: selection.to_dict()[key] for key in ("weights", "rule", "temperature", "member_temperatures")
    }
    bare = Selection.from_dict(needed)
    expected = selection.blend(real_pool.test_probs)
    assert np.array_equal(again.blend(real_pool.test_probs), expected)
    assert np.array_equal(bare.blend(real_pool.test_probs), expected)


def test_json_keeps_the_table_of_candidates() -> None:
    """The comparison of the automatic choice is part of the record."""
    table = (Candidate("greedy", 0.5, 0.0, 0.0, chosen=True),)
    selection = Selection(np.ones(1), 0.5, candidates=table)
    assert Selection.from_dict(json.loads(json.dumps(selection.to_dict()))).candidates == table


def test_a_blend_of_other_views_is_refused() -> None:
    """The number of views must match the selection."""
    probs, labels = random_pool(0)
    with pytest.raises(InputError, match="got 3 views for a selection of 8"):
        uniform_select(probs, labels).blend(probs[:3])


def with_value(value: float) -> tuple[np.ndarray, np.ndarray]:
    """A pool with one odd value in its third view."""
    probs, labels = random_pool(0)
    probs[2, 5, 1] = value
    return probs, labels


PROBS, LABELS = random_pool(0)
BROKEN = {
    "nan": with_value(np.nan),
    "infinite": with_value(np.inf),
    "negative": with_value(-0.1),
    "flat": (PROBS[0], LABELS),
    "integers": (PROBS.astype(np.int64), LABELS),
    "no views": (PROBS[:0], LABELS),
    "no images": (PROBS[:, :0], LABELS[:0]),
    "short labels": (PROBS, LABELS[:-1]),
    "float labels": (PROBS, LABELS.astype(np.float64)),
    "label too large": (PROBS, np.where(LABELS == 2, 3, LABELS)),
    "negative label": (PROBS, np.where(LABELS == 2, -1, LABELS)),
}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "view 2 holds values"),
        ("infinite", "view 2 holds values"),
        ("negative", "view 2 holds values"),
        ("flat", r"must be floats \[views, images, classes\]"),
        ("integers", r"must be floats \[views, images, classes\]"),
        ("no views", "nothing to select from: 0 views"),
        ("no images", "8 views, 0 images"),
        ("short labels", r"labels must be integers \[60\]"),
        ("float labels", r"labels must be integers \[60\]"),
        ("label too large", r"labels must lie in 0\.\.2, not 0\.\.3"),
        ("negative label", r"labels must lie in 0\.\.2, not -1\.\.1"),
    ],
)
@pytest.mark.parametrize("name", METHODS)
def test_an_invalid_pool_is_refused_with_the_reason(name: str, kind: str, message: str) -> None:
    """Every method validates the pool."""
    probs, labels = BROKEN[kind]
    with pytest.raises(InputError, match=message):
        METHODS[name](probs, labels, metric="log_loss", seed=0)


def test_no_rounds_are_refused() -> None:
    """An ensemble needs at least one view."""
    probs, labels = random_pool(0)
    with pytest.raises(InputError, match="at least one round"):
        greedy_select(probs, labels, rounds=0)


def test_one_view_is_the_ensemble() -> None:
    """A pool of one gives that one all the weight."""
    probs, labels = random_pool(0, views=1)
    assert greedy_select(probs, labels).weights.tolist() == [1.0]
