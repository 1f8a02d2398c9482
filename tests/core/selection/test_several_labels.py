"""Every method serves independent labels, as it serves their answers as images of two classes."""

from functools import partial

import numpy as np
import pytest

from tests.core.conftest import random_labels
from tune_paddy.core.errors import InputError
from tune_paddy.core.estimate import assess, estimate
from tune_paddy.core.metrics import METRICS, calibrated_log_loss, error_rate, get_metric, log_loss
from tune_paddy.core.pooling import pool
from tune_paddy.core.scores.f1 import samples_f1_loss
from tune_paddy.core.scores.temperature import fit_temperature
from tune_paddy.core.selection.auto import auto_select
from tune_paddy.core.selection.methods import METHODS
from tune_paddy.core.selection.plain import fixed_select, greedy_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.outcomes import one_row_per_answer
from tune_paddy.core.tasks.task import Task

QUICK = {name: METHODS[name] for name in ("uniform", "log_linear", "greedy")}
"""Methods for tests of their choice; that each of them serves labels is tested first."""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("metric", ["log_loss", "error_rate"])
def test_a_method_selects_as_among_answers(method: str, metric: str, seed: int) -> None:
    """Weights, temperature and predictions are those of the answers as images of two classes."""
    probs, labels = random_labels(seed)
    own = METHODS[method](probs, labels, metric=metric, seed=0)
    answers = METHODS[method](*one_row_per_answer(probs, labels), metric=metric, seed=0)
    assert own.task == "multilabel"
    np.testing.assert_allclose(own.weights, answers.weights, atol=1e-6)
    assert own.temperature == pytest.approx(answers.temperature, rel=1e-6)
    assert own.score == pytest.approx(answers.score, abs=1e-7)
    blended = answers.blend(one_row_per_answer(probs, labels)[0])[:, 1].reshape(labels.shape)
    np.testing.assert_allclose(own.blend(probs), blended, atol=1e-6)


@pytest.mark.parametrize("metric", sorted(set(METRICS) - {"qwk"}))
def test_greedy_selection_minimises_every_metric(metric: str) -> None:
    """No single view is better on the images of the selection than the greedy ensemble."""
    probs, labels = random_labels(3)
    selection = greedy_select(probs, labels, metric=metric, rounds=12)
    score = get_metric(metric)
    assert selection.score == pytest.approx(score(selection.blend(probs), labels))
    assert selection.score <= min(score(view, labels) for view in probs) + 1e-9


def test_the_mean_of_labels_is_the_mean() -> None:
    """A weighted mean of probabilities, without normalisation over the labels."""
    probs, _ = random_labels(0)
    weights = np.arange(8.0) / 28
    np.testing.assert_allclose(
        pool(probs, weights, independent=True), np.tensordot(weights, probs, 1), atol=1e-6
    )


def test_a_temperature_scales_the_logits_of_each_label() -> None:
    """Of independent labels it divides log p − log(1 − p)."""
    probs = np.array([[[0.2, 0.9]]], np.float32)
    scaled = pool(probs, np.ones(1), temperature=2.0, independent=True)
    logits = np.log(probs[0] / (1 - probs[0])) / 2
    np.testing.assert_allclose(scaled, 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_temperatures_are_fitted_on_answers() -> None:
    """Sharpened probabilities are softened again, of labels as of classes."""
    probs, labels = random_labels(1)
    sharp = pool(probs[:1], np.ones(1), temperature=0.3, independent=True)
    assert fit_temperature(sharp, labels) > 1
    loss, temperature = calibrated_log_loss(sharp, labels)
    assert temperature > 1
    assert loss < log_loss(sharp, labels)


def test_the_choice_of_the_method_and_its_estimate_serve_labels() -> None:
    """The automatic choice is cross-fitted by image, and its honest score is finite with an interval."""
    probs, labels = random_labels(5, images=80)
    select = partial(auto_select, methods=QUICK)
    selection, assessment = select(probs, labels), assess(probs, labels, select)
    assert selection.candidates
    assert assessment.predictions.shape == labels.shape
    assert assessment.estimate.low < assessment.estimate.score < assessment.estimate.high
    assert assessment.estimate.score == pytest.approx(log_loss(assessment.predictions, labels))


@pytest.mark.parametrize("metric", ["samples_f1", "macro_f1"])
def test_thresholds_are_fitted_without_the_images_that_they_are_scored_on(metric: str) -> None:
    """On labels that nothing predicts, no honest F1 is high."""
    rng = np.random.default_rng(0)
    labels = (rng.random((120, 3)) < 0.5).astype(np.int64)
    probs = rng.random((4, 120, 3)).astype(np.float32)
    honest = assess(probs, labels, lambda p, t: greedy_select(p, t, metric=metric, rounds=5), metric=metric)
    assert honest.estimate.score > 0.25
    assert honest.comparisons[0].rival_score > 0.25


def test_decisions_survive_json() -> None:
    """A selection with thresholds is restored with its task."""
    selection = Selection(np.array([0.5, 0.5]), 0.1, task="multilabel", thresholds=np.array([0.3, 0.7]))
    restored = Selection.from_dict(selection.to_dict())
    assert restored.decide(np.array([[0.4, 0.6]])).tolist() == [[1, 0]]
    assert restored.task == "multilabel"


def test_labels_that_do_not_fit_the_predictions_are_refused() -> None:
    """Another number of labels, or numbers beyond 0 and 1."""
    probs, labels = random_labels(0)
    for wrong in (labels[:, :3], labels * 2):
        with pytest.raises(InputError, match="labels must"):
            fixed_select(probs, wrong, np.ones(8))


def test_the_error_rate_of_labels_is_that_of_answers() -> None:
    """The Hamming loss counts every answer."""
    probs, labels = random_labels(2)
    answers, truth = one_row_per_answer(probs[0], labels)
    assert error_rate(probs[0], labels) == error_rate(answers, truth)
    assert Task.of_labels(labels) is Task.of("multilabel")


def test_methods_are_compared_by_decisions_with_thresholds() -> None:
    """Where all probabilities are too low, a half without thresholds would call no label at all."""
    probs, labels = random_labels(6, images=80)
    chosen = auto_select(probs * 0.5, labels, metric="samples_f1", methods=QUICK)
    assert max(candidate.score for candidate in chosen.candidates) < 0.7
    assert samples_f1_loss(probs[0] * 0.5, labels) > 0.8


@pytest.mark.parametrize("metric", ["error_rate", "macro_f1", "roc_auc", "balanced_error"])
def test_no_mistake_on_few_images_is_not_certainty(metric: str) -> None:
    """Thirty images without a mistake leave room for some among new ones."""
    labels = np.eye(3, dtype=np.int64)[np.arange(30) % 3]
    perfect = estimate(labels.astype(np.float64), labels, metric=metric)
    assert perfect.score == 0
    assert 0.05 < perfect.high < 0.2
