"""Pools of predictions for selection tests: real classifiers on real images, and random ones."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from tune_paddy.core.selection import auto


@pytest.fixture(scope="module", autouse=True)
def _all_halves(few_halves: int) -> Iterator[None]:
    """Compare selection methods on as many halves as the program does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auto, "REPEATS", few_halves)
        yield


@dataclass(frozen=True)
class RealPool:
    """Predictions of the same classifiers on two unseen parts of the digits.

    Attributes:
        probs: float32 [views, 400, 10].
        labels: int64 [400].
        test_probs: float32 [views, 500, 10].
        test_labels: int64 [500].
    """

    probs: NDArray[np.float32]
    labels: NDArray[np.int64]
    test_probs: NDArray[np.float32]
    test_labels: NDArray[np.int64]


@pytest.fixture(scope="session")
def real_pool() -> RealPool:
    """24 weak and strong classifiers, each fitted on 300 digits made harder by noise."""
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))
    images, labels = (images + rng.normal(0, 4, images.shape))[order] / 16, labels[order]
    models = [
        *(KNeighborsClassifier(k, weights=w) for k in (1, 3, 9) for w in ("uniform", "distance")),
        *(ExtraTreesClassifier(20, max_depth=depth, random_state=depth) for depth in (3, 4, 5, 6, 8, 10)),
        *(LogisticRegression(C=c, max_iter=500) for c in (0.003, 0.01, 0.1, 1, 10, 100)),
        *(DecisionTreeClassifier(max_depth=depth, random_state=0) for depth in (3, 5, 7, 9)),
        *(GaussianNB(var_smoothing=smoothing) for smoothing in (1e-3, 1e-1)),
    ]
    for model in models:
        seen = rng.permutation(890)[:300]
        model.fit(images[seen], labels[seen])
    probs, test_probs = (
        np.stack([model.predict_proba(images[part]) for model in models]).astype(np.float32)
        for part in (slice(890, 1290), slice(1290, 1790))
    )
    return RealPool(probs, labels[890:1290], test_probs, labels[1290:1790])


def random_pool(
    seed: int, views: int = 8, images: int = 60, classes: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A pool of noisy views full of zeros, ties and duplicates, with every class in the labels."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, images - classes)])
    counts = rng.integers(0, 4, (views, images, classes)) + rng.integers(0, 4, (views, 1, 1)) * (
        labels[:, None] == np.arange(classes)
    )
    counts[counts.sum(axis=2) == 0] = 1
    probs = (counts / counts.sum(axis=2, keepdims=True)).astype(np.float32)
    probs[-1] = probs[0]
    return probs, labels


def random_labels(
    seed: int, views: int = 8, images: int = 60, labels: int = 4
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A pool of noisy views of independent labels, with ties, zeros and images without a label."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((images, labels)) < np.linspace(0.1, 0.6, labels)).astype(np.int64)
    truth[0], truth[1] = 0, 1
    skill = rng.uniform(0.2, 0.9, (views, 1, 1))
    probs = np.round(np.clip(skill * truth + (1 - skill) * rng.random((views, images, labels)), 0, 1), 2)
    probs[-1] = probs[0]
    return probs.astype(np.float32), truth
