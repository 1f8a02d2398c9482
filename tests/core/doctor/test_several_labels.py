"""Several labels an image: each of them may be missing or wrong."""

import numpy as np
import pytest
from scipy.special import expit, logit

from tune_paddy.core.doctor.noise import find_noise
from tune_paddy.core.doctor.suspects import diagnose

FREQUENT = np.array([0.05, 0.1, 0.2, 0.3, 0.4])


def drawn(seed, n=800, certainty=7.0):
    """Calibrated predictions of five labels, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    probs = expit(certainty * rng.normal(size=(n, 5)) + (1 + certainty / 3) * logit(FREQUENT))
    return probs, (rng.random((n, 5)) < probs).astype(np.int64)


def with_noise(labels, seed, *, share=0.05, only=None):
    """Return labels of which a share is wrong, or a share of those with one value, and which ones."""
    wrong = np.random.default_rng(seed).random(labels.shape) < share
    if only is not None:
        wrong &= labels == only
    return np.where(wrong, 1 - labels, labels), wrong


def precision(doubt, rows):
    """Return the share of wrong ones among as many of the most doubtful ones."""
    return rows[np.argsort(-doubt, kind="stable")[: rows.sum()]].mean()


@pytest.mark.parametrize(("factor", "level"), [(1.0, 0.0), (0.5, 0.0), (2.0, 1.5)])
def test_the_mistakes_that_a_model_expects_are_no_noise(factor, level):
    """Also of a model that is too certain or too cautious, or that predicts every label too often."""
    for seed in range(2):
        probs, labels = drawn(seed, certainty=3.0)
        assert not find_noise(expit(factor * logit(probs) + level), labels).conspicuous


def test_planted_wrong_pairs_are_counted_and_found_far_more_often_than_by_chance():
    for seed in range(2):
        probs, labels = drawn(seed)
        noisy, wrong = with_noise(labels, seed)
        noise, rows = find_noise(probs, noisy), wrong.any(axis=1)
        assert noise.conspicuous
        assert noise.share == pytest.approx(rows.mean(), rel=0.3)
        assert precision(noise.wrong, rows) > 0.7 > 2 * rows.mean()
        assert precision(noise.answers.T.ravel(), wrong.ravel()) > 0.7 > 10 * wrong.mean()
        found = noise.likelier != noisy
        assert (wrong & found).sum() > 0.6 * wrong.sum()


@pytest.mark.parametrize(("only", "share"), [(1, 0.2), (0, 0.02)])
def test_labels_that_are_only_missing_or_only_added_are_told_from_each_other(only, share):
    """The doubt is about labels with one value, and its ranking is better than by their probability alone."""
    better = []
    for seed in range(2):
        probs, labels = drawn(seed)
        noisy, wrong = with_noise(labels, seed, share=share, only=only)
        noise = find_noise(probs, noisy)
        assert noise.conspicuous
        doubted = noisy[(noise.answers > 0.5).T]
        assert (doubted == 1 - only).mean() > 0.9
        alone = np.where(noisy == 1, 1 - probs, probs)
        better.append(
            precision(noise.wrong, wrong.any(axis=1)) - precision(alone.max(axis=1), wrong.any(axis=1))
        )
    assert np.mean(better) > 0


def test_noise_of_one_label_leaves_the_others_alone():
    """The rates of wrong labels are fitted label by label."""
    probs, labels = drawn(0)
    noisy = labels.copy()
    noisy[:, 3] = with_noise(labels, 0, share=0.1)[0][:, 3]
    doubted = (find_noise(probs, noisy).answers > 0.5).mean(axis=1)
    assert 0.05 < doubted[3] < 0.15
    assert np.delete(doubted, 3).max() < 0.02


def test_labels_that_repeat_each_other_are_no_further_evidence():
    """Odd images contradict several labels at once: the sum of their evidence would be too much."""
    probs, labels = drawn(0, n=400)
    noisy, _ = with_noise(labels, 0, share=0.02)
    alone = find_noise(probs, noisy).evidence
    repeated = find_noise(np.repeat(probs, 3, axis=1), np.repeat(noisy, 3, axis=1)).evidence
    assert alone > 0
    assert repeated == pytest.approx(alone, rel=0.01)


def test_the_likelier_labels_of_every_image_differ_from_the_given_ones():
    probs, labels = drawn(0)
    likelier = find_noise(probs, labels).likelier
    assert likelier.shape == labels.shape
    assert (likelier != labels).any(axis=1).all()


def test_images_that_belong_together_vote_on_each_label():
    better = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        labels = np.repeat((rng.random((300, 3)) < 0.3).astype(np.int64), 2, axis=0)
        logits = 2 * (2 * labels - 1) + 2 * rng.normal(size=labels.shape) + logit(0.3)
        noisy, wrong = with_noise(labels, seed)
        pairs = np.arange(len(labels)) // 2
        found = [find_noise(expit(logits), noisy, groups).answers.T for groups in (pairs, None)]
        better.append(precision(found[0].ravel(), wrong.ravel()) - precision(found[1].ravel(), wrong.ravel()))
    assert np.mean(better) > 0.1


def test_the_votes_are_of_views_that_contradict_a_label_in_doubt():
    """A view that agrees on it, and a view of other images, have votes of their own."""
    probs, labels = drawn(0)
    noisy, wrong = with_noise(labels, 0)
    views = np.stack([probs, np.roll(probs, 1, axis=0)]).astype(np.float32)
    found = diagnose(views, noisy)
    assert precision(found.noise.wrong, wrong.any(axis=1)) > 0.7
    assert (np.diff(found.noise.wrong[found.order]) <= 0).all()
    doubted = found.noise.likelier != noisy
    expected = (((views > 0.5) != noisy) & doubted).any(axis=2).sum(axis=0)
    np.testing.assert_array_equal(found.votes, expected)
