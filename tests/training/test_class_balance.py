"""Members trained on unequal classes: every tenth digit is a zero."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.predictions import check
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training.attempt import Attempt
from tune_paddy.training.batches.loaders import subsample_rows
from tune_paddy.training.folds import train_folds
from tune_paddy.training.member import train_member
from tune_paddy.training.runtime import Runtime

Make = Callable[..., MemberConfig]


@pytest.fixture(scope="module")
def unequal(parts: Parts) -> Parts:
    """The digits as zeros (class 1) and others (class 0) in two folds; a third class has no image."""

    def part(images: Part) -> Part:
        return replace(images, labels=(images.labels == 0).astype(np.int64))

    select = part(parts.select)
    return replace(
        parts,
        classes=("other", "zero", "none"),
        train=part(parts.train),
        select=select,
        folds=np.arange(len(select)) % 2,
    )


def test_weights_count_the_images_that_a_models_subsample_and_fold_leave(
    unequal: Parts, make_config: Make, tmp_path: Path
) -> None:
    """A class without an image has weight one."""
    config = make_config(subsample=0.6, class_weights="balanced")
    first = unequal.fold(0)
    labels = first.train.labels[subsample_rows(first.train.labels, config)]
    assert len(labels) == round(0.6 * 115)
    weights = Attempt(config, first, Runtime(tmp_path), lambda report: None)._class_weights()
    assert weights is not None
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    np.testing.assert_allclose(weights, [*expected, 1], rtol=1e-6)


def test_folds_train_with_weights(unequal: Parts, make_config: Make, tmp_path: Path) -> None:
    config = make_config(tta=0, epochs=1, class_weights="balanced", loss="bce")
    assert check(train_folds(config, unequal, Runtime(tmp_path)).predictions) is None


def test_weights_reach_the_loss_and_weights_of_one_change_nothing(
    unequal: Parts, make_config: Make, tmp_path: Path
) -> None:
    """Nine images of each class have weights of one; the digits as they are have others."""
    rows = np.concatenate([np.flatnonzero(unequal.train.labels == label)[:9] for label in (0, 1)])
    equal = replace(unequal, train=unequal.train.take(np.isin(np.arange(100), rows)))

    def trained(parts: Parts, method: str) -> np.ndarray:
        config = make_config(tta=0, epochs=1, subsample=1.0, class_weights=method)
        return train_member(config, parts, Runtime(tmp_path)).predictions.test["plain"]

    np.testing.assert_allclose(trained(equal, "balanced"), trained(equal, "none"), atol=1e-5)
    assert np.abs(trained(unequal, "balanced") - trained(unequal, "none")).max() > 1e-3
