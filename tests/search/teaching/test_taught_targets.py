"""The file of a search's targets, and the data of its members with them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.search.teaching.pools import CLASSES, FOLDS, TEST, N, make_opinions, make_parts
from tune_paddy.core.errors import InputError
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.search.teaching.opinions import pseudo_labels, soft_labels
from tune_paddy.search.teaching.targets import TaughtTargets


def make_targets(parts: Parts, *, soft: bool = True, pseudo: bool = True) -> TaughtTargets:
    opinions = make_opinions(parts)
    labelled = soft_labels(opinions, parts, 0.3) if soft else parts.soft
    labels = pseudo_labels(opinions, parts) if pseudo else parts.pseudo
    assert labelled is not None
    assert labels is not None
    return TaughtTargets(
        split=parts.split,
        classes=parts.classes,
        ids=parts.select.ids,
        labelled=labelled,
        test_ids=parts.test.ids,
        test=labels,
    )


def test_what_is_read_is_what_was_saved(tmp_path: Path) -> None:
    for soft, pseudo in ((True, True), (True, False), (False, True), (False, False)):
        targets = make_targets(make_parts(), soft=soft, pseudo=pseudo)
        targets.save(tmp_path / "targets.npz")
        read = TaughtTargets.parse((tmp_path / "targets.npz").read_bytes(), "targets.npz")
        for name, value in vars(targets).items():
            np.testing.assert_array_equal(getattr(read, name), value, strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["targets.npz"]


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path, targets = tmp_path / "targets.npz", make_targets(make_parts())
    targets.save(path)
    content = path.read_bytes()
    replace(targets, test=targets.test + 1).save(path)
    for damaged in (b"", content[: len(content) // 2], path.read_bytes()):
        with pytest.raises(InputError, match=r"targets\.npz: damaged, or no targets of a search") as refusal:
            TaughtTargets.parse(damaged, "targets.npz")
        assert "\n" not in str(refusal.value)


def test_the_model_of_a_fold_trains_on_the_targets_of_its_fold() -> None:
    parts = make_parts()
    targets = make_targets(parts)
    taught = targets.taught(parts)
    for number in range(FOLDS):
        fold, plain, outside = taught.fold(number), parts.fold(number), parts.folds != number
        assert fold.train.ids.tolist() == [*plain.train.ids, *parts.test.ids]
        np.testing.assert_array_equal(fold.train.targets[:-TEST], targets.labelled[number, outside])
        np.testing.assert_array_equal(fold.train.targets[-TEST:], targets.test[number])
        np.testing.assert_array_equal(fold.train.labels[-TEST:], targets.test[number].argmax(axis=1))
        np.testing.assert_array_equal(fold.select.labels, plain.select.labels)
        assert fold.select.ids.tolist() == plain.select.ids.tolist()


def test_without_soft_labels_a_labelled_image_has_its_label_as_target() -> None:
    parts = make_parts(folds=False)
    taught = make_targets(parts, soft=False).taught(parts)
    np.testing.assert_array_equal(taught.train.targets[:-TEST], np.eye(CLASSES)[parts.train.labels])
    assert not len(taught.pseudo)
    assert not len(taught.test.labels)


def test_targets_that_say_nothing_leave_the_data_as_it_is() -> None:
    parts = make_parts()
    taught = make_targets(parts, soft=False, pseudo=False).taught(parts)
    assert taught.select is parts.select
    assert not len(taught.soft)
    assert not len(taught.fold(0).train.targets)


def test_pseudo_labelled_images_are_in_groups_of_their_own() -> None:
    parts = make_parts()
    grouped = replace(parts, select=replace(parts.select, groups=np.arange(N) // 2))
    train = make_targets(grouped).taught(grouped).fold(0).train
    assert len(train.groups) == len(train)
    assert len(np.unique(train.groups[-TEST:])) == TEST
    assert not set(train.groups[-TEST:]) & set(train.groups[:-TEST])


def test_a_refit_trains_on_the_mean_of_the_targets_of_all_folds() -> None:
    parts = make_parts()
    targets = make_targets(parts)
    alone = Part(np.array(["alone"]), ("alone",), np.array([2]))  # in no fold
    every = alone + parts.select.take(np.arange(N) % 2 == 0) + parts.select.take(np.arange(N) % 2 == 1)
    train = targets.taught_again(replace(parts, train=every)).train
    mean = targets.labelled.mean(axis=0, dtype=np.float64).astype(np.float32)
    np.testing.assert_array_equal(train.targets[0], np.eye(CLASSES)[2])
    np.testing.assert_array_equal(train.targets[1:-TEST], np.concatenate([mean[::2], mean[1::2]]))
    np.testing.assert_allclose(train.targets[-TEST:], targets.test.mean(axis=0), atol=1e-6)


def test_targets_of_other_images_are_refused() -> None:
    parts = make_parts()
    targets = make_targets(parts)
    for other in (
        replace(parts, split="another"),
        replace(parts, classes=("a", "b", "d")),
        replace(parts, test=replace(parts.test, ids=parts.test.ids[::-1])),
    ):
        with pytest.raises(InputError, match="were made for other images, classes or folds"):
            targets.taught(other)
    with pytest.raises(InputError, match="were made for other images"):
        targets.taught_again(replace(parts, train=parts.train))
