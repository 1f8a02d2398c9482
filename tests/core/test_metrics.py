import numpy as np
import pytest
from sklearn import metrics as peer

from tests.core.conftest import RealPool, random_pool
from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import (
    EPS,
    METRICS,
    balanced_error,
    calibrated_log_loss,
    error_rate,
    get_metric,
    is_metric_key,
    log_loss,
    macro_f1_loss,
    metric_key,
    metric_label,
    roc_auc_loss,
)
from tune_paddy.core.pooling import soften
from tune_paddy.core.scores.ranking import map_loss


@pytest.mark.parametrize("view", range(0, 24, 5))
def test_every_metric_equals_scikit_learns(real_pool: RealPool, view: int) -> None:
    """Real predictions include ties and zeros; F1, recall and AUC are macro averages."""
    probs, labels = real_pool.probs[view], real_pool.labels
    predicted = probs.argmax(axis=1)
    exact = probs.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    clipped = np.clip(probs.astype(np.float64), EPS, 1)
    assert log_loss(probs, labels) == pytest.approx(-np.log(clipped[np.arange(len(labels)), labels]).mean())
    assert error_rate(probs, labels) == pytest.approx(1 - peer.accuracy_score(labels, predicted))
    assert balanced_error(probs, labels) == pytest.approx(1 - peer.balanced_accuracy_score(labels, predicted))
    assert macro_f1_loss(probs, labels) == pytest.approx(
        1 - peer.f1_score(labels, predicted, average="macro", zero_division=0)
    )
    assert roc_auc_loss(exact, labels) == pytest.approx(
        1 - peer.roc_auc_score(labels, exact, multi_class="ovr", average="macro")
    )


def test_log_loss_equals_scikit_learns_where_nothing_is_clipped() -> None:
    """Without clipping it is the usual log loss."""
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet([2, 3, 4], 50), rng.integers(0, 3, 50)
    assert log_loss(probs, labels) == pytest.approx(peer.log_loss(labels, probs, labels=[0, 1, 2]))


def test_a_zero_probability_of_the_true_class_has_a_finite_loss() -> None:
    """A probability of 0 for the true class counts as EPS."""
    assert log_loss(np.array([[1.0, 0.0]], np.float32), np.array([1])) == pytest.approx(-np.log(EPS))


@pytest.mark.parametrize("name", METRICS)
def test_float32_is_summed_in_float64(name: str) -> None:
    """A million equal float32 values do not drift."""
    probs = np.tile(np.array([[0.3, 0.7], [0.6, 0.4]], np.float32), (500_000, 1))
    labels = np.tile([0, 1], 500_000)
    few = METRICS[name](probs[:2], labels[:2])
    assert METRICS[name](probs, labels) == pytest.approx(few, rel=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_a_perfect_prediction_costs_nothing(name: str) -> None:
    """Every metric is a loss whose optimum is 0."""
    labels = np.array([0, 1, 2, 1])
    assert METRICS[name](np.eye(3)[labels], labels) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_a_class_without_images_is_accepted(name: str) -> None:
    """Macro averages cover the classes that occur, as parts of a split may lack one."""
    probs, labels = random_pool(0)
    present = labels != 2
    assert np.isfinite(METRICS[name](probs[0][present], labels[present]))


def test_one_class_alone_has_the_auc_of_chance() -> None:
    """Without a curve the loss is 0.5, not an error."""
    assert roc_auc_loss(np.full((3, 2), 0.5), np.zeros(3, np.int64)) == 0.5


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_calibration_undoes_a_temperature(temperature: float) -> None:
    """Labels are drawn from p, then p is sharpened or softened: the grid recovers the inverse."""
    rng = np.random.default_rng(1)
    probs = rng.dirichlet([1, 1, 1], 4000)
    labels = (rng.random(4000)[:, None] > probs.cumsum(axis=1)).sum(axis=1)
    loss, found = calibrated_log_loss(soften(probs, temperature), labels)
    assert found == pytest.approx(1 / temperature)
    assert loss == pytest.approx(log_loss(probs, labels), rel=1e-6)


def test_calibration_never_raises_the_loss(real_pool: RealPool) -> None:
    """The grid contains 1."""
    for view in real_pool.probs:
        assert calibrated_log_loss(view, real_pool.labels)[0] <= log_loss(view, real_pool.labels) + 1e-12


def test_losses_are_not_named_after_scores() -> None:
    """1 − F1 and 1 − AUC have these names in reports and in the record."""
    labels = {name: metric_label(name) for name in METRICS}
    assert (labels["macro_f1"], labels["roc_auc"]) == ("1 − macro F1", "1 − ROC AUC")
    assert [metric_key(name) for name in ("macro_f1", "roc_auc")] == [
        "one_minus_macro_f1",
        "one_minus_roc_auc",
    ]
    assert metric_label("error_rate") == "error rate"
    assert metric_key("error_rate") == "error_rate"


@pytest.mark.parametrize("first", [1, 4, 1000])
def test_the_k_of_map_at_k_is_any_number(real_pool: RealPool, first: int) -> None:
    probs, labels = real_pool.probs[0], real_pool.labels
    name = f"map_at_{first}"
    assert get_metric(name)(probs, labels) == map_loss(probs, labels, first)
    assert metric_label(name) == f"1 − MAP@{first}"
    assert is_metric_key(metric_key(name))


def test_an_unknown_metric_is_refused_with_the_known_ones() -> None:
    """The message lists what exists."""
    with pytest.raises(InputError, match="unknown metric 'acc': use one of log_loss, error_rate"):
        get_metric("acc")
