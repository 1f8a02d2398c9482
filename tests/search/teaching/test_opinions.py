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
def test_labels_of_a_fold_cannot_reach_what_its_model_learns_from_the_teacher(fold: int) -> None:
    """The targets of the labelled images of other folds, and those of the images to predict."""
    parts = make_parts()
    opinions, outside = make_opinions(parts), parts.folds != fold
    changed = flipped(parts, ~outside)
    for make in (pseudo_labels, lambda opinions, each: soft_labels(opinions, each, 0.4)):
        before, after = make(opinions, parts), make(opinions, changed)
        assert before is not None
        assert after is not None
        rows = slice(None) if make is pseudo_labels else outside
        np.testing.assert_array_equal(before[fold][rows], after[fold][rows])


@pytest.mark.parametrize("fold", range(FOLDS))
def test_predictions_of_models_that_saw_a_fold_cannot_reach_its_targets(fold: int) -> None:
    """They only rank the members."""
    parts = make_parts()
    opinions = make_opinions(parts)
    others = []
    for opinion in opinions:
        own = opinion.by_fold
        assert own is not None
        mine = np.arange(FOLDS)[:, None, None] == fold
        others.append(
            replace(
                opinion,
                test=opinion.test[::-1],
                by_fold=replace(
                    own,
                    select=np.where(mine, own.select, own.select[:, ::-1]),
                    test=np.where(mine, own.test, own.test[:, ::-1]),
                ),
            )
        )
    for make in (pseudo_labels, lambda opinions, each: soft_labels(opinions, each, 0.4)):
        before, after = make(opinions, parts), make(others, parts)
        assert before is not None
        assert after is not None
        np.testing.assert_array_equal(before[fold], after[fold])


def test_a_soft_label_takes_the_members_that_did_not_train_on_the_image_or_else_all() -> None:
    parts = make_parts()
    best = make_opinions(parts)[2:]
    targets = soft_labels(make_opinions(parts), parts, 1.0)
    assert targets is not None
    kinds = set()
    for fold in range(FOLDS):
        for row in range(N):
            models = [each.by_fold for each in best if each.by_fold is not None]
            unseen = [own.select[fold, row] for own in models if not own.trained[fold, row]]
            kinds.add(len(unseen))
            mean = np.mean(unseen or [own.select[fold, row] for own in models], axis=0, dtype=np.float64)
            np.testing.assert_allclose(targets[fold, row], mean / mean.sum(), atol=1e-6)
    assert kinds == {0, 1, 2}


def test_labels_of_a_select_split_cannot_reach_pseudo_labels() -> None:
    parts = make_parts(folds=False)
    opinions = make_opinions(parts)
    taught, again = (pseudo_labels(opinions, each) for each in (parts, flipped(parts, np.ones(N, bool))))
    assert taught is not None
    np.testing.assert_array_equal(taught, again)
    np.testing.assert_allclose(taught[0], np.mean([each.test for each in opinions], axis=0), atol=1e-6)


def test_the_worse_half_of_the_members_teaches_no_fold() -> None:
    parts = make_parts()
    opinions = make_opinions(parts)
    worse = [replace(opinions[2], select=each.select) for each in opinions[:2]]
    for make in (pseudo_labels, lambda opinions, each: soft_labels(opinions, each, 0.3)):
        np.testing.assert_array_equal(make(opinions, parts), make([*worse, *opinions[2:]], parts))  # type: ignore[arg-type]


def test_a_member_without_the_predictions_of_its_folds_gives_no_targets() -> None:
    parts = make_parts()
    opinions = [replace(each, by_fold=None) for each in make_opinions(parts)]
    assert pseudo_labels(opinions, parts) is None
    assert soft_labels(opinions, parts, 0.3) is None


def test_an_opinion_has_the_images_and_classes_of_the_new_search_in_their_order() -> None:
    parts = make_parts()
    rng = np.random.default_rng(2)
    select, test = (rng.dirichlet(np.ones(CLASSES), n).astype(np.float32) for n in (N, TEST))
    by_fold = make_opinions(parts)[0].by_fold
    assert by_fold is not None
    member = Predictions(
        classes=("c", "a", "b"),
        split="split",
        select_ids=parts.select.ids[::-1],
        select_labels=np.zeros(N, np.int64),
        test_ids=parts.test.ids[::-1],
        select={"plain": np.zeros_like(select), "tta": select},
        test={"plain": np.zeros_like(test), "tta": test},
        task=Task.of("classes"),
        by_fold=by_fold,
    )
    found = opinion_of(member, parts)
    assert found.by_fold is not None
    np.testing.assert_array_equal(found.select, select[::-1][:, [1, 2, 0]])
    np.testing.assert_array_equal(found.test, test[::-1][:, [1, 2, 0]])
    np.testing.assert_array_equal(found.by_fold.select, by_fold.select[:, ::-1][..., [1, 2, 0]])
    np.testing.assert_array_equal(found.by_fold.trained, by_fold.trained[:, ::-1])
    np.testing.assert_array_equal(found.by_fold.test, by_fold.test[:, ::-1][..., [1, 2, 0]])
    assert opinion_of(replace(member, by_fold=None), parts).by_fold is None
    assert opinion_of(member, replace(parts, folds=parts.folds[:0])).by_fold is None
