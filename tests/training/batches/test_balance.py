"""Weights of classes, and balanced epochs."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight
from timm.loss import compute_class_weights

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.batches.balance import balanced_rows, class_weights
from tune_paddy.training.batches.loaders import ImageReader, TrainLoader

LABELS = np.repeat([0, 1, 2, 4], [60, 25, 10, 5])
"""Class 3 has no image, as a small subsample or fold may leave it."""

SEVERAL = np.array([[1, 0, 0, 1]] * 8 + [[1, 1, 0, 1]] * 2 + [[0, 0, 0, 1]] * 6)
"""Two rare labels, one that no image has, and one that every image has."""


def test_balanced_weights_are_scikit_learns_and_a_class_without_images_has_weight_one() -> None:
    weights = class_weights(LABELS, "balanced", 5)
    assert weights is not None
    present = [0, 1, 2, 4]
    expected = compute_class_weight("balanced", classes=np.array(present), y=LABELS)
    np.testing.assert_allclose(weights[present], expected, rtol=1e-6)
    assert weights[3] == 1


def test_effective_weights_are_timms_scaled_to_mean_one_over_the_images() -> None:
    weights = class_weights(LABELS, "effective", 5)
    assert weights is not None
    counts = [60, 25, 10, 5]
    timms = compute_class_weights(counts, 100, method="effective_num")[1].numpy()
    np.testing.assert_allclose(weights[[0, 1, 2, 4]] / weights[0], timms / timms[0], rtol=1e-5)


@pytest.mark.parametrize("method", ["balanced", "effective"])
def test_the_mean_weight_of_the_images_is_one(method: str) -> None:
    weights = class_weights(LABELS, method, 5)
    assert weights is not None
    assert weights[LABELS].mean() == pytest.approx(1)


def test_weights_of_several_labels_are_those_of_their_positive_images() -> None:
    weights = class_weights(SEVERAL, "balanced", 4)
    assert weights is not None
    timms = compute_class_weights(SEVERAL.sum(0), len(SEVERAL), method="neg_pos")[1].numpy()
    np.testing.assert_allclose(weights[:2], timms[:2])
    np.testing.assert_allclose(weights[:2], [6 / 10, 14 / 2])
    assert weights[2:].tolist() == [1, 1]
    effective = class_weights(np.repeat([[1], [0]], [10, 90_000], axis=0), "effective", 1)
    assert effective == pytest.approx(1000 / 10, rel=0.01)  # at most 1000 images count


def test_a_balanced_epoch_has_all_classes_alike() -> None:
    rows = balanced_rows(np.tile(LABELS, 100), np.random.default_rng(0))
    shares = np.bincount(np.tile(LABELS, 100)[rows], minlength=5) / len(rows)
    np.testing.assert_allclose(shares, [0.25, 0.25, 0.25, 0, 0.25], atol=0.02)


def test_an_image_with_several_labels_is_as_likely_as_its_rarest_label_is_rare() -> None:
    """Labels of 10, 2 and 16 images."""
    rows = balanced_rows(np.tile(SEVERAL, (500, 1)), np.random.default_rng(0)) % len(SEVERAL)
    likely = np.repeat([1 / 10, 1 / 2, 1 / 16], [8, 2, 6])
    shares = np.bincount(rows, minlength=16) / len(rows)
    np.testing.assert_allclose(shares, likely / likely.sum(), atol=0.02)


def test_images_without_a_label_count_as_one_more_label() -> None:
    labels = np.array([[1, 0]] * 4 + [[0, 0]] * 12)
    rows = balanced_rows(np.tile(labels, (500, 1)), np.random.default_rng(0)) % 16
    assert np.mean(rows >= 4) == pytest.approx(0.5, abs=0.02)


def test_a_balanced_epoch_is_as_long_as_any_and_depends_on_its_number_alone(
    reader: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    labels = np.repeat([0, 1], [90, 10])
    train = TrainLoader(reader, labels, make_config(sampler="balanced"))
    epochs = [np.concatenate([batch.labels for batch in train]) for train.epoch in (1, 2, 1)]
    assert [len(epoch) for epoch in epochs] == [100] * 3
    assert 30 < epochs[0].sum() < 70
    assert epochs[0].tolist() == epochs[2].tolist() != epochs[1].tolist()
