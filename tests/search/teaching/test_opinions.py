"""Targets from predictions alone: what they are made of, and which labels cannot reach them."""

from dataclasses import replace

import numpy as np
import pytest

from tests.search.teaching.pools import CLASSES, FOLDS, TEST, N, make_opinions, make_parts
from tune_paddy.core.predictions import Predictions
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.member_data import Parts
from tune_paddy.search.teaching.opinions import opinion_of, pseudo_labels, soft_labels


def flipped(parts: Parts, rows: np.ndarray) -> Parts:
    """Return the data with other labels of some select images."""
    labels = np.where(rows, (parts.select.labels + 1) % CLASSES, parts.select.labels)
    return replace(parts, select=replace(parts.select, labels=labels))


@pytest.mark.parametrize("fold", range(FOLDS))
def test_labels_of_a_fold_cannot_reach_the_pseudo_labels_of_its_model(fold: int) -> None:
    parts = make_parts()
    opinions = make_opinions(parts)
    changed = flipped(parts, parts.folds == fold)
    before, after = pseudo_labels(opinions, parts), pseudo_labels(opinions, changed)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before[fold], after[fold])
    # Models of this fold alone, not the mean over folds, which has seen the fold.
    means = np.mean([opinions[row].test[fold] for row in (2, 3)], axis=0)  # type: ignore[index]
    np.testing.assert_allclose(before[fold], means, atol=1e-6)


@pytest.mark.parametrize("fold", range(FOLDS))
def test_labels_of_a_fold_reach_its_soft_labels_only_as_the_hard_part(fold: int) -> None:
    parts = make_parts()
    opinions, inside = make_opinions(parts), parts.folds == fold
    taught, again = (soft_labels(opinions, each, 0.4) for each in (parts, flipped(parts, inside)))
    hard, flipped_hard = (np.eye(CLASSES)[each.select.labels] for each in (parts, flipped(parts, inside)))
    np.testing.assert_allclose((taught - 0.6 * hard)[inside], (again - 0.6 * flipped_hard)[inside], atol=1e-6)


def test_labels_of_a_select_split_cannot_reach_pseudo_labels() -> None:
    parts = make_parts(folds=False)
    opinions = make_opinions(parts)
    taught, again = (pseudo_labels(opinions, each) for each in (parts, flipped(parts, np.ones(N, bool))))
    assert taught is not None
    np.testing.assert_array_equal(taught, again)
    np.testing.assert_allclose(taught[0], np.mean([each.test[0] for each in opinions], axis=0), atol=1e-6)  # type: ignore[index]


def test_the_worse_half_of_the_members_teaches_no_fold() -> None:
    parts = make_parts()
    opinions = make_opinions(parts)
    worse = [replace(each, select=each.select[:, ::-1]) for each in opinions[:2]]
    np.testing.assert_array_equal(
        soft_labels(opinions, parts, 0.3), soft_labels([*worse, *opinions[2:]], parts, 0.3)
    )


def test_a_member_without_the_predictions_of_its_folds_gives_no_pseudo_labels() -> None:
    parts = make_parts()
    opinions = [replace(each, test=None) for each in make_opinions(parts)]
    assert pseudo_labels(opinions, parts) is None


def test_an_opinion_has_the_images_and_classes_of_the_new_search_in_their_order() -> None:
    parts = make_parts()
    rng = np.random.default_rng(2)
    select, test = (rng.dirichlet(np.ones(CLASSES), n).astype(np.float32) for n in (N, TEST))
    by_fold = rng.dirichlet(np.ones(CLASSES), (FOLDS, TEST)).astype(np.float16)
    member = Predictions(
        classes=("c", "a", "b"),
        split="split",
        select_ids=parts.select.ids[::-1],
        select_labels=np.zeros(N, np.int64),
        test_ids=parts.test.ids[::-1],
        select={"plain": np.zeros_like(select), "tta": select},
        test={"plain": np.zeros_like(test), "tta": test},
        task=Task.of("classes"),
        test_by_fold={"tta": by_fold},
    )
    found = opinion_of(member, parts)
    np.testing.assert_array_equal(found.select, select[::-1][:, [1, 2, 0]])
    np.testing.assert_array_equal(found.test, by_fold.astype(np.float32)[:, ::-1][..., [1, 2, 0]])
    assert opinion_of(replace(member, test_by_fold={}), parts).test is None
    whole = opinion_of(member, replace(parts, folds=parts.folds[:0]))
    np.testing.assert_array_equal(whole.test, test[None, ::-1][..., [1, 2, 0]])
