from dataclasses import replace

import numpy as np
import pytest

from tune_paddy.data.dataset import Dataset
from tune_paddy.data.member_data import make_parts, make_refit_parts
from tune_paddy.data.split import make_folds, make_select_split


@pytest.fixture
def dataset(kaggle):
    return Dataset.open(kaggle)


def test_a_model_trains_on_all_folds_but_its_own(dataset):
    parts = make_parts(dataset, make_folds(dataset, k=3, seed=0))
    assert len(parts.train) == 0
    seen = []
    for number in range(parts.n_folds):
        fold = parts.fold(number)
        assert sorted([*fold.train.ids, *fold.select.ids]) == sorted(dataset.labelled["id"])
        assert fold.test is parts.test
        assert fold.n_folds == 0
        seen += fold.select.ids.tolist()
    assert sorted(seen) == parts.select.ids.tolist()


def test_ids_paths_and_labels_of_a_part_stay_together(dataset):
    parts = make_parts(dataset, make_folds(dataset, k=2, seed=0))
    rows = dataset.labelled.set_index("id")
    for part in (parts.fold(1).train, parts.fold(1).select):
        assert list(part.paths) == rows["path"][part.ids].tolist()
        assert [parts.classes[code] for code in part.labels] == rows["label"][part.ids].tolist()


def test_parts_at_other_paths_have_the_same_images_in_the_same_order(dataset):
    parts = make_parts(dataset, make_folds(dataset, k=2, seed=0))
    moved = parts.at({path: f"/elsewhere{path}" for path in parts.images.paths})
    for before, after in zip(
        (parts.select, parts.test, parts.images, parts.fold(1).others),
        (moved.select, moved.test, moved.images, moved.fold(1).others),
        strict=True,
    ):
        assert [f"/elsewhere{path}" for path in before.paths] == list(after.paths)
    assert np.array_equal(parts.fold(1).train.ids, moved.fold(1).train.ids)


def test_a_refit_trains_on_all_labelled_images_and_has_its_own_fingerprint(dataset):
    split = make_select_split(dataset, share=0.3, seed=0)
    parts, refit = make_parts(dataset, split), make_refit_parts(dataset, split)
    assert sorted(refit.train.ids) == sorted(dataset.labelled["id"])
    assert np.array_equal(refit.select.ids, parts.select.ids)
    assert refit.split != parts.split
    assert (parts.seen, refit.seen) == (False, True)


def test_images_with_and_without_targets_or_groups_join(dataset):
    parts = make_parts(dataset, make_select_split(dataset, share=0.3, seed=0))
    plain, n = parts.train, len(dataset.classes)
    soft = replace(
        parts.select,
        targets=np.full((len(parts.select), n), 1 / n, np.float32),
        groups=np.arange(len(parts.select)),
    )
    assert not len((plain + parts.select).targets)
    for joined, hard, uniform in (
        (plain + soft, slice(len(plain)), slice(len(plain), None)),
        (soft + plain, slice(len(soft), None), slice(len(soft))),
    ):
        assert np.array_equal(joined.targets[hard], np.eye(n)[plain.labels])
        assert np.array_equal(joined.targets[uniform], soft.targets)
        assert len(set(joined.groups.tolist())) == len(joined)
        half = np.arange(len(joined)) % 2 == 0
        assert np.array_equal(joined.take(half).targets, joined.targets[half])
