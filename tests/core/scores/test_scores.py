"""The metrics of decisions and orders equal scikit-learn's, of classes and of independent labels."""

import numpy as np
import pytest
from sklearn import metrics as peer

from tests.core.conftest import RealPool, random_labels
from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import METRICS, balanced_error, check_metric, error_rate, log_loss
from tune_paddy.core.scores.f1 import macro_f1_loss, micro_f1_loss, samples_f1_loss, weighted_f1_loss
from tune_paddy.core.scores.kappa import kappa_loss, qwk_loss
from tune_paddy.core.scores.ranking import map_loss, roc_auc_loss
from tune_paddy.core.tasks.task import Task


@pytest.mark.parametrize("view", range(0, 24, 5))
def test_metrics_of_classes_equal_scikit_learns(real_pool: RealPool, view: int) -> None:
    """Weighted F1, and the kappa of grades that are rounded from the expected grade."""
    probs, labels = real_pool.probs[view].astype(np.float64), real_pool.labels
    grades = np.floor(probs @ np.arange(10.0) + 0.5).astype(int)
    assert weighted_f1_loss(probs, labels) == pytest.approx(
        1 - peer.f1_score(labels, probs.argmax(axis=1), average="weighted", zero_division=0)
    )
    assert qwk_loss(probs, labels) == pytest.approx(
        1 - peer.cohen_kappa_score(labels, grades, weights="quadratic", labels=range(10))
    )


@pytest.mark.parametrize("first", [1, 3, 5, 20])
def test_map_of_classes_is_the_mean_reciprocal_rank(real_pool: RealPool, first: int) -> None:
    """Counted by hand from the rank of the true class; with k = 1 it is the accuracy."""
    probs, labels = real_pool.probs[0], real_pool.labels
    order = np.argsort(-probs, axis=1, kind="stable")
    ranks = 1 + np.argmax(order == labels[:, None], axis=1)
    assert map_loss(probs, labels, first) == pytest.approx(1 - np.where(ranks <= first, 1 / ranks, 0).mean())
    assert map_loss(probs, labels, 1) == pytest.approx(error_rate(probs, labels))


def test_map_of_labels_equals_scikit_learns_where_all_ranks_count() -> None:
    """With k at the number of labels it is the label ranking average precision of images with a label."""
    rng = np.random.default_rng(0)
    labels = (rng.random((50, 5)) < 0.4).astype(np.int64)
    labels[:3] = 0
    probs = rng.random((50, 5))
    told = labels.any(axis=1)
    assert map_loss(probs, labels, 5) == pytest.approx(
        1 - peer.label_ranking_average_precision_score(labels[told], probs[told])
    )


@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_labels_equal_scikit_learns(seed: int) -> None:
    """Each is a mean over labels, over decisions or over images."""
    views, labels = random_labels(seed)
    probs = views[0].astype(np.float64)
    called = probs > 0.5
    assert error_rate(probs, labels) == pytest.approx(peer.hamming_loss(labels, called))
    columns = list(zip(labels.T, probs.T, called.T, strict=True))
    clipped = [peer.log_loss(truth, np.clip(p, 1e-15, 1 - 1e-15), labels=[0, 1]) for truth, p, _ in columns]
    assert log_loss(probs, labels) == pytest.approx(np.mean(clipped))
    assert balanced_error(probs, labels) == pytest.approx(
        1 - np.mean([peer.balanced_accuracy_score(truth, own) for truth, _, own in columns])
    )
    for loss, average, empty in (
        (macro_f1_loss, "macro", 0),
        (weighted_f1_loss, "weighted", 0),
        (micro_f1_loss, "micro", 0),
        (samples_f1_loss, "samples", 1),
    ):
        expected = 1 - peer.f1_score(labels, called, average=average, zero_division=empty)
        assert loss(probs, labels) == pytest.approx(expected), average
    assert roc_auc_loss(probs, labels) == pytest.approx(
        1 - peer.roc_auc_score(labels, probs, average="macro")
    )


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"qwk"}))
def test_a_perfect_prediction_of_labels_costs_nothing(name: str) -> None:
    """Every metric that serves independent labels is a loss whose optimum is 0."""
    labels = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]])
    assert METRICS[name](labels.astype(np.float64), labels) == pytest.approx(0, abs=1e-12)


def test_equal_grades_of_equal_images_have_no_chance_to_beat() -> None:
    """Kappa divides by the disagreement of chance, which one grade alone does not have."""
    assert kappa_loss(np.zeros(4, np.int64), np.zeros(4, np.int64), 3) == 0
    assert kappa_loss(np.ones(4, np.int64), np.zeros(4, np.int64), 3) == 1


@pytest.mark.parametrize(
    ("metric", "task", "message"),
    [
        ("qwk", "classes", "needs one grade an image .*`task` ordered"),
        ("samples_f1", "classes", "needs any number of labels an image; the images have one class"),
        ("qwk", "multilabel", "the images have any number of labels"),
    ],
)
def test_a_metric_of_another_task_is_refused(metric: str, task: str, message: str) -> None:
    """A kappa needs an order, and F1 of the images several labels."""
    with pytest.raises(InputError, match=message):
        check_metric(metric, Task.of(task))
    check_metric("log_loss", Task.of(task))
