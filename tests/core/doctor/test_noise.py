import numpy as np
import pytest

from tune_paddy.core.doctor.before_after import compare_searches
from tune_paddy.core.doctor.noise import find_noise
from tune_paddy.core.doctor.suspects import diagnose
from tune_paddy.core.errors import InputError


def drawn(seed, n=1500, n_classes=6, certainty=4.0):
    """Calibrated predictions, and labels drawn from them: a model with the mistakes that it expects."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, n_classes)) * certainty
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probs.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return probs, labels


def with_noise(labels, share, seed):
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(labels), round(share * len(labels)), replace=False)
    noisy, n_classes = labels.copy(), labels.max() + 1
    noisy[rows] = (labels[rows] + rng.integers(1, n_classes, len(rows))) % n_classes
    return noisy, rows


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("certainty", [1.0, 4.0])
def test_the_mistakes_that_a_model_expects_are_no_noise(certainty, temperature):
    """Also of a model that is too certain or too cautious."""
    for seed in range(3):
        probs, labels = drawn(seed, certainty=certainty)
        scaled = probs**temperature / (probs**temperature).sum(axis=1, keepdims=True)
        assert not find_noise(scaled, labels).conspicuous


def test_planted_noise_is_counted_and_found():
    for seed in range(5):
        probs, labels = drawn(seed, certainty=8.0)
        noisy, rows = with_noise(labels, 0.05, seed)
        noise = find_noise(probs, noisy)
        assert noise.conspicuous
        assert 0.03 < noise.share < 0.07
        worst = np.argsort(-noise.wrong)[: len(rows)]
        assert np.isin(worst, rows).mean() > 0.7
        right = noise.likelier[worst] == labels[worst]
        assert right[np.isin(worst, rows)].mean() > 0.7


def test_a_class_that_is_taken_for_one_other_is_found_better_than_by_its_probability_alone():
    """The rates of a fitted matrix tell noise between two classes from the model's doubt among all."""
    better = []
    for seed in range(5):
        probs, labels = drawn(seed, certainty=3.0, n=3000)
        rng = np.random.default_rng(seed)
        rows = rng.choice(np.flatnonzero(labels == 0), 150, replace=False)
        noisy = labels.copy()
        noisy[rows] = 1
        found = find_noise(probs, noisy).wrong
        alone = 1 - probs[np.arange(len(noisy)), noisy]
        hits = [np.isin(np.argsort(-doubt)[:150], rows).mean() for doubt in (found, alone)]
        better.append(hits[0] - hits[1])
    assert np.mean(better) > 0


def test_the_votes_of_a_pool_are_cross_fitted_and_counted():
    """A view of other images gets no say."""
    probs, labels = drawn(0, certainty=8.0)
    noisy, rows = with_noise(labels, 0.05, 0)
    views = np.stack([probs, np.roll(probs, 1, axis=0)]).astype(np.float32)
    found = diagnose(views, noisy)
    assert found.noise.conspicuous
    assert np.isin(found.order[: len(rows)], rows).mean() > 0.7
    np.testing.assert_array_equal(found.votes, (views.argmax(axis=2) != noisy).sum(axis=0))


def test_a_handful_of_images_is_refused_with_the_way_out():
    probs, labels = drawn(0, n=20)
    with pytest.raises(InputError, match="at least 50 images") as told:
        diagnose(probs[None].astype(np.float32), labels)
    assert told.value.options == ("folds",)


def test_two_searches_are_compared_by_their_errors_on_the_same_images():
    labels = np.zeros(40, int)
    right, wrong = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    earlier = np.where((np.arange(40) < 20)[:, None], right, wrong)
    later = np.where((np.arange(40) < 30)[:, None], right, wrong)
    result = compare_searches(earlier, later, labels)
    assert (result.images, result.before, result.after) == (40, 0.5, 0.25)
    assert result.comparison.high < 0


def in_pairs(seed, agreement, n=800, n_classes=6, strength=1.7):
    """Calibrated predictions of pairs of images, which have the class of their pair or any class."""
    rng = np.random.default_rng(seed)
    pairs = np.arange(n) // 2
    labels = rng.integers(n_classes, size=n // 2)[pairs]
    labels = np.where(rng.random(n) < agreement, labels, rng.integers(n_classes, size=n))
    logits = strength * (strength * np.eye(n_classes)[labels] + rng.normal(size=(n, n_classes)))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels, pairs


def test_images_that_belong_together_vote_on_each_others_labels():
    for seed in range(3):
        probs, labels, pairs = in_pairs(seed, 1.0)
        noisy, rows = with_noise(labels, 0.05, seed)
        grouped, alone = find_noise(probs, noisy, pairs), find_noise(probs, noisy)
        found = [np.isin(np.argsort(-noise.wrong)[: len(rows)], rows).mean() for noise in (grouped, alone)]
        assert found[0] > found[1] + 0.2
        assert grouped.agreement > 0.95
        assert 0.03 < grouped.share < 0.07


@pytest.mark.parametrize("agreement", [0.0, 0.5, 0.9])
def test_groups_of_several_classes_are_no_noise(agreement):
    for seed in range(2):
        probs, labels, pairs = in_pairs(seed, agreement)
        found = find_noise(probs, labels, pairs)
        assert not found.conspicuous
        assert found.agreement == pytest.approx(agreement, abs=0.2)
