import numpy as np
import pytest

from tests.core.conftest import random_labels
from tune_paddy.core.scores.f1 import macro_f1_loss, samples_f1_loss
from tune_paddy.core.scores.kappa import expected_grade, grades_of, kappa_loss, midpoints, qwk_loss
from tune_paddy.core.scores.thresholds import as_probabilities, decide, fit_thresholds, is_thresholded
from tune_paddy.core.tasks.task import Task

ORDERED, MULTILABEL = Task.of("ordered"), Task.of("multilabel")


def hesitant_grades(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grades 0 to 3 whose probabilities are drawn towards the middle, so that rounding is not the best."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 200)
    centres = 1.5 + 0.4 * (labels - 1.5) + rng.normal(0, 0.2, 200)
    probs = np.exp(-((np.arange(4) - centres[:, None]) ** 2))
    return probs / probs.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("seed", range(4))
def test_fitted_thresholds_better_the_kappa(seed: int) -> None:
    """Where the expected grades are too close to each other, the thresholds move towards the middle."""
    probs, labels = hesitant_grades(seed)
    thresholds = fit_thresholds(probs, labels, "qwk", ORDERED)
    grades = decide(probs, ORDERED, thresholds)
    assert (np.diff(thresholds) >= 0).all()
    assert kappa_loss(grades, labels, 4) < qwk_loss(probs, labels) - 0.05
    assert qwk_loss(as_probabilities(grades, 4), labels) == pytest.approx(kappa_loss(grades, labels, 4))


@pytest.mark.parametrize("metric", ["macro_f1", "samples_f1"])
def test_fitted_thresholds_are_never_worse_than_one_half(metric: str) -> None:
    """They start from the best common threshold, one half among the candidates."""
    loss = {"macro_f1": macro_f1_loss, "samples_f1": samples_f1_loss}[metric]
    gains = []
    for seed in range(4):
        views, labels = random_labels(seed)
        probs = views[1] * 0.6  # every probability is too low
        decisions = decide(probs, MULTILABEL, fit_thresholds(probs, labels, metric, MULTILABEL))
        gains.append(loss(probs, labels) - loss(as_probabilities(decisions, 4), labels))
    assert min(gains) >= 0
    assert max(gains) > 0


def test_a_perfect_prediction_keeps_the_usual_thresholds() -> None:
    """Nothing can be gained, so nothing is moved."""
    labels = np.arange(4).repeat(3)
    assert fit_thresholds(np.eye(4)[labels], labels, "qwk", ORDERED).tolist() == midpoints(4).tolist()


def test_without_thresholds_the_most_probable_class_and_labels_above_one_half_are_decided() -> None:
    """The usual decisions of each task."""
    assert decide(np.array([[0.2, 0.5, 0.3]]), Task.of("classes")).tolist() == [1]
    assert decide(np.array([[0.2, 0.51, 0.5]]), MULTILABEL).tolist() == [[0, 1, 0]]
    assert grades_of(expected_grade(np.array([[0.5, 0.5, 0.0]])), midpoints(3)).tolist() == [1]


def test_thresholds_belong_to_metrics_of_decisions() -> None:
    """The log loss and the AUC judge probabilities, and the error rate of classes the most probable one."""
    assert is_thresholded("qwk", ORDERED)
    assert is_thresholded("samples_f1", MULTILABEL)
    assert not is_thresholded("macro_f1", Task.of("classes"))
    assert not is_thresholded("roc_auc", MULTILABEL)
