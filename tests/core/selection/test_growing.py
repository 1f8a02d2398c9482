import numpy as np
import pytest

from tune_paddy.core.selection.greedy_log_loss import true_class_rows
from tune_paddy.core.selection.growing import GrowingGreedy
from tune_paddy.core.selection.plain import greedy_select
from tune_paddy.core.tasks.names import CLASSES


def views(count: int, images: int, *, seed: int, better: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return views that get better by a share of a class's evidence from one to the next, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=images)
    logits = rng.normal(size=(count, images, 3))
    logits[:, np.arange(images), labels] += 1 + better * np.arange(count)[:, None]
    powers = np.exp(logits)
    return (powers / powers.sum(axis=2, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("better", [0.0, 0.05, -0.05])
@pytest.mark.parametrize("at_once", [1, 2])
def test_after_each_view_the_selection_is_that_of_the_whole_pool(better: float, at_once: int) -> None:
    probs, labels = views(30, 70, seed=at_once, better=better)
    greedy = GrowingGreedy(CLASSES, rounds=25)
    for end in range(at_once, len(probs) + 1, at_once):
        greedy.add(true_class_rows(probs[end - at_once : end], labels))
        ours, whole = greedy.selection(), greedy_select(probs[:end], labels, rounds=25)
        assert ours.order == whole.order
        assert ours.trajectory == pytest.approx(whole.trajectory, rel=1e-12)
        assert ours.kept == whole.kept
        assert ours.weights.tolist() == whole.weights.tolist()


def test_equal_views_leave_the_first_one_chosen() -> None:
    probs, labels = views(1, 40, seed=0)
    greedy = GrowingGreedy(CLASSES, rounds=5)
    for _ in range(4):
        greedy.add(true_class_rows(probs, labels))
    assert greedy.selection().weights.tolist() == [1, 0, 0, 0]


def test_a_view_without_weight_repeats_no_round() -> None:
    probs, labels = views(20, 70, seed=3)
    greedy = GrowingGreedy(CLASSES)
    greedy.add(true_class_rows(probs, labels))
    assert greedy.add(np.full((1, 70), 0.01, np.float32)) == 0
    assert len(greedy) == 21
