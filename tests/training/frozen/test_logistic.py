"""The head that is fitted to features."""

import tracemalloc

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from tune_paddy.core.tasks.task import Task
from tune_paddy.training.frozen import logistic
from tune_paddy.training.frozen.logistic import Examples, Fitter, Head
from tune_paddy.training.objective import objective_of

ALONE = np.empty(0, np.int64)


def digits(n: int) -> Examples:
    features, labels = load_digits(return_X_y=True)
    return Examples(features[None, :n].astype(np.float32), labels[:n].astype(np.int64), ALONE)


def probabilities(head: Head, features: NDArray[np.float32]) -> NDArray[np.float64]:
    logits = torch.from_numpy(features).double() @ head.weight.double().T + head.bias.double()
    return torch.softmax(logits, 1).numpy()


@pytest.fixture
def two_penalties(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave two penalties to choose from, for tests that prove nothing about the choice."""
    monkeypatch.setattr(logistic, "PENALTIES", (1.0, 0.03))


def test_the_head_is_scikit_learns_logistic_regression_on_standardised_features() -> None:
    examples = digits(300)
    head = Fitter(10, objective_of()).fit(examples)
    (features,) = examples.features
    spread = features.std(0)
    standard = (features - features.mean(0)) / np.where(spread > 0, spread, 1)
    theirs = LogisticRegression(C=1 / (len(features) * head.penalty), tol=1e-6, max_iter=2000)
    expected = theirs.fit(standard, examples.labels).predict_proba(standard)
    assert np.abs(probabilities(head, features) - expected).max() < 0.02


def test_the_chosen_penalty_scores_better_than_the_weakest_on_other_images() -> None:
    """With as many features as images, a head without a penalty is too sure of itself."""
    examples, (others,) = digits(80), load_digits(return_X_y=True)[0][None, 400:900].astype(np.float32)
    truth = load_digits(return_X_y=True)[1][400:900]
    chosen = Fitter(10, objective_of()).fit(examples)
    weakest = Fitter(10, objective_of())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logistic, "PENALTIES", (logistic.PENALTIES[-1],))
        loose = weakest.fit(examples)
    losses = [-np.log(probabilities(head, others)[np.arange(500), truth]).mean() for head in (chosen, loose)]
    assert losses[0] < losses[1]
    assert chosen.penalty > loose.penalty


@pytest.mark.usefixtures("two_penalties")
def test_the_same_images_give_the_same_head() -> None:
    first, second = (Fitter(10, objective_of(), seed=3).fit(digits(60)) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.bias, second.bias)


def test_copies_of_an_image_in_one_group_do_not_weaken_the_penalty() -> None:
    """A copy on the other side would make memorising look good."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 30)).astype(np.float32)
    labels = rng.integers(2, size=40)  # nothing to learn
    twice = np.concatenate([features, features])[None], np.concatenate([labels, labels])
    groups = np.tile(np.arange(40), 2)
    apart = Fitter(2, objective_of()).fit(Examples(*twice, ALONE))
    together = Fitter(2, objective_of()).fit(Examples(*twice, groups))
    assert together.penalty > apart.penalty


def test_the_moments_need_little_memory_beside_the_features() -> None:
    """A copy in float64 would take twice the memory of the features."""
    features = np.random.default_rng(0).normal(3, 2, size=(2, 20_000, 50)).astype(np.float32)
    tracemalloc.start()
    mean, std = logistic._moments(features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < features.nbytes
    np.testing.assert_allclose(mean, features.mean((0, 1), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(std, features.std((0, 1), dtype=np.float64), rtol=1e-6)


def test_symmetric_copies_stay_with_their_image() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1, 40, 30)).astype(np.float32)
    labels = rng.integers(2, size=40)
    one = Fitter(2, objective_of()).fit(Examples(features, labels, ALONE))
    eight = Fitter(2, objective_of()).fit(Examples(np.repeat(features, 8, axis=0), labels, ALONE))
    assert one.penalty == eight.penalty
    assert eight.inner_loss == pytest.approx(one.inner_loss, abs=1e-2)


@pytest.mark.parametrize("labels", [[0, 0, 1, 2], [0], [1, 1], [0, 2]], ids=str)
def test_few_images_and_classes_of_one_image_or_none_have_a_head(labels: list[int]) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, len(labels), 5)).astype(np.float32)
    features[..., 0] = 3.0  # a constant feature
    for groups in (ALONE, np.zeros(len(labels), np.int64)):
        head = Fitter(3, objective_of()).fit(Examples(features, np.array(labels), groups))
        probs = probabilities(head, features[0])
        assert np.isfinite(probs).all()
        assert probs[:, np.setdiff1d(range(3), labels)].max(initial=0) < 0.1


@pytest.mark.usefixtures("two_penalties")
def test_smoothing_makes_a_head_less_certain() -> None:
    examples = digits(100)
    sharp, smooth = (Fitter(10, objective_of(), smoothing=share).fit(examples) for share in (0.0, 0.3))
    means = [probabilities(head, examples.features[0]).max(1).mean() for head in (sharp, smooth)]
    assert means[1] < means[0]


def test_several_labels_are_fitted_independently() -> None:
    examples = digits(200)
    flags = np.stack([examples.labels % 2, (examples.labels < 5).astype(np.int64)], 1)
    head = Fitter(2, objective_of(Task.of("multilabel"))).fit(Examples(examples.features, flags, ALONE))
    logits = torch.from_numpy(examples.features[0]) @ head.weight.T + head.bias
    assert ((logits > 0).numpy() == flags.astype(bool)).mean() > 0.9
