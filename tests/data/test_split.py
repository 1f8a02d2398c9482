import json

import numpy as np
import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.split import SelectSplit, describe_limits, make_folds, make_select_split, make_split


@pytest.fixture
def dataset(kaggle):
    return Dataset.open(kaggle)


@pytest.fixture
def stored(dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "split.json"
    make_select_split(dataset, share=0.3, seed=1).save(path)
    return path


def edit(path, **changes):
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_a_split_divides_all_images_and_every_class(dataset):
    split = make_select_split(dataset, share=0.3, seed=0)
    assert sorted(split.select_ids + split.train_ids) == sorted(dataset.labelled["id"])
    assert [list(split.select_ids), list(split.train_ids)] == [
        sorted(split.select_ids),
        sorted(split.train_ids),
    ]
    labels = dataset.labelled.set_index("id")["label"][list(split.select_ids)]
    assert sorted(labels.value_counts()) == [1, 1, 2]


def test_copies_stay_on_one_side(folders, save):
    for number in range(6):
        save(folders / ("cat", "dog")[number % 2] / f"copy{number}.jpg", number)
    dataset = Dataset.open(folders)
    for seed in range(20):
        split = make_select_split(dataset, share=0.4, seed=seed)
        for name in split.select_ids:
            label, file = name.split("/")
            twin = file.replace("copy", "").replace("jpg", "png")
            assert {f"{label}/{twin}", f"{label}/copy{twin[0]}.jpg"} <= set(split.select_ids)


def test_a_split_depends_on_the_seed_and_not_on_the_order_of_the_table(kaggle, dataset):
    before = [make_select_split(dataset, share=0.3, seed=seed) for seed in range(5)]
    header, *rows = (kaggle / "train.csv").read_text().splitlines(keepends=True)
    (kaggle / "train.csv").write_text(header + "".join(reversed(rows)))
    again = Dataset.open(kaggle)
    assert [make_select_split(again, share=0.3, seed=seed) for seed in range(5)] == before
    assert len({split.select_ids for split in before}) > 1


def test_the_fingerprint_reflects_the_chosen_images_and_the_dataset(kaggle, dataset, save):
    splits = [make_select_split(dataset, share=0.3, seed=seed) for seed in range(12)]
    assert len({split.fingerprint for split in splits}) == len({split.select_ids for split in splits})
    save(kaggle / "train_images" / "blast" / "100330.jpg", 55)
    changed = make_select_split(Dataset.open(kaggle), share=0.3, seed=0)
    assert changed.select_ids == splits[0].select_ids
    assert changed.fingerprint != splits[0].fingerprint


def test_a_stored_split_is_loaded(dataset, stored):
    assert SelectSplit.load(stored, dataset) == make_select_split(dataset, share=0.3, seed=1)
    assert [path.name for path in stored.parent.iterdir()] == ["split.json"]


def test_a_split_of_other_labels_is_refused(kaggle, stored, save):
    save(kaggle / "train_images" / "blast" / "100330.jpg", 55)
    with pytest.raises(InputError, match=r"split\.json: was made for other images or labels than"):
        SelectSplit.load(stored, Dataset.open(kaggle))


def test_a_split_of_missing_images_names_one(kaggle, dataset, stored):
    name = make_select_split(dataset, share=0.3, seed=1).select_ids[0]
    lines = (kaggle / "train.csv").read_text().splitlines(keepends=True)
    (kaggle / "train.csv").write_text("".join(line for line in lines if name not in line))
    with pytest.raises(InputError, match=f"for example, {name} is missing"):
        SelectSplit.load(stored, Dataset.open(kaggle))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"format": 2}, "format"),
        ({"share": 1.5}, "share"),
        ({"share": None}, "share"),
        ({"seed": "1"}, "seed"),
        ({"select_ids": [1, 2]}, r"select_ids\.0"),
        ({"fingerprint": "x"}, "fingerprint"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_file_that_is_not_a_split_is_refused_with_the_key(dataset, stored, changes, key):
    edit(stored, **changes)
    with pytest.raises(InputError, match=rf"split\.json: is not a stored split: {key}: ") as caught:
        SelectSplit.load(stored, dataset)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"format": NaN}', b"[" * 100_000])
def test_any_other_bytes_are_refused_on_one_line(dataset, stored, content):
    stored.write_bytes(content)
    with pytest.raises(InputError, match="is not a stored split") as caught:
        SelectSplit.load(stored, dataset)
    assert "\n" not in str(caught.value)


def test_manually_moved_ids_are_detected(dataset, stored):
    edit(stored, select_ids=list(make_select_split(dataset, share=0.3, seed=1).train_ids))
    with pytest.raises(InputError, match="other images or labels"):
        SelectSplit.load(stored, dataset)


def test_a_missing_file_is_named(dataset, tmp_path):
    with pytest.raises(InputError, match=r"gone\.json: cannot be read: No such file"):
        SelectSplit.load(tmp_path / "gone.json", dataset)


def test_classes_without_two_distinct_images_are_trained_on_in_a_split_and_in_folds(folders, save):
    save(folders / "mouse" / "only.png", 30)
    for name in ("a.png", "b.bmp", "c.jpg"):
        save(folders / "newt" / name, 31)
    dataset = Dataset.open(folders)
    lonely = {"mouse/only.png", "newt/a.png", "newt/b.bmp", "newt/c.jpg"}
    split = make_select_split(dataset, share=0.2, seed=0)
    assert lonely <= set(split.train_ids)
    assert set(make_folds(dataset, k=2, seed=0).train_ids) == lonely
    unjudged, few = describe_limits(dataset, split)
    assert "judge by: classes mouse (1 image), newt (3 images); add images, or merge" in unjudged
    assert few.startswith("few images in the select split to judge by: classes cat (1 image), dog (1 image)")


def test_a_set_without_two_distinct_images_of_a_class_is_refused_with_all_counts(tmp_path, save):
    save(tmp_path / "mouse" / "only.png", 30)
    for name in ("a.png", "b.bmp", "c.jpg"):
        save(tmp_path / "newt" / name, 31)
    with pytest.raises(InputError, match="no class has two distinct images") as caught:
        make_select_split(Dataset.open(tmp_path), share=0.2, seed=0)
    assert "\n  mouse: 1 image, 1 distinct\n  newt: 3 images, 1 distinct" in str(caught.value)


def test_stored_folds_with_images_outside_are_loaded(folders, save, tmp_path_factory):
    save(folders / "mouse" / "only.png", 30)
    dataset, path = Dataset.open(folders), tmp_path_factory.mktemp("search") / "split.json"
    split = make_folds(dataset, k=3, seed=1)
    split.save(path)
    assert SelectSplit.load(path, dataset) == split


def test_a_share_that_divides_every_class_is_exact(dataset):
    split = make_select_split(dataset, share=0.25, seed=3)
    labels = dataset.labelled.set_index("id")["label"][list(split.select_ids)]
    assert np.unique(labels, return_counts=True)[1].tolist() == [1, 1, 1]


def test_folds_divide_all_images_and_every_class_in_any_order_of_the_table(kaggle, dataset):
    split = make_folds(dataset, k=2, seed=4)
    assert list(split.select_ids) == sorted(dataset.labelled["id"])
    assert (split.train_ids, split.n_folds) == ((), 2)
    labels = dataset.labelled.set_index("id")["label"][list(split.select_ids)]
    for fold in (0, 1):
        assert labels[np.array(split.folds) == fold].value_counts().tolist() == [2, 2, 2]
    header, *rows = (kaggle / "train.csv").read_text().splitlines(keepends=True)
    (kaggle / "train.csv").write_text(header + "".join(reversed(rows)))
    assert make_folds(Dataset.open(kaggle), k=2, seed=4) == split


def test_copies_stay_in_one_fold(folders, save):
    for number in range(6):
        save(folders / ("cat", "dog")[number % 2] / f"copy{number}.jpg", number)
    for seed in range(10):
        split = make_folds(Dataset.open(folders), k=3, seed=seed)
        fold_of = dict(zip(split.select_ids, split.folds, strict=True))
        for number in range(6):
            folder = ("cat", "dog")[number % 2]
            assert fold_of[f"{folder}/{number}.png"] == fold_of[f"{folder}/copy{number}.jpg"]


def test_stored_folds_are_loaded_and_other_folds_are_detected(dataset, tmp_path):
    split = make_folds(dataset, k=3, seed=1)
    split.save(tmp_path / "split.json")
    assert SelectSplit.load(tmp_path / "split.json", dataset) == split
    edit(tmp_path / "split.json", folds=[(fold + 1) % 3 for fold in split.folds])
    with pytest.raises(InputError, match="other images or labels"):
        SelectSplit.load(tmp_path / "split.json", dataset)
    edit(tmp_path / "split.json", folds=[0, 1])
    with pytest.raises(InputError, match="2 folds for 12 images"):
        SelectSplit.load(tmp_path / "split.json", dataset)


def test_more_folds_than_images_are_refused_with_the_most_that_work(dataset):
    assert make_folds(dataset, k=5, seed=0).n_folds == 5
    with pytest.raises(InputError, match=r"`folds=13` needs 13 .* there are 12: use at most 12"):
        make_folds(dataset, k=13, seed=0)


# --- several labels an image ---------------------------------------------------------------------------


def several(folder, save, rows, header="image,labels,part,plant"):
    """A dataset of several labels an image: (labels, part, plant) of each."""
    for number in range(len(rows)):
        save(folder / "images" / f"{number}.png", number)
    lines = [f"{number},{row}" for number, row in enumerate(rows)]
    (folder / "train.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder


ROWS = ["a,train,p0", "b,train,p1", "a|b,valid,p2", "c,train,p3", "b,train,p1", "a,valid,p4", "c,train,p3"]


def test_a_given_split_may_hold_a_whole_combination_of_labels_but_no_whole_label(tmp_path, save):
    folder = several(tmp_path, save, ROWS)
    split = make_split(Dataset.open(folder, split_column="part"), folds=0, share=0.2, seed=0)
    assert split.select_ids == ("2", "5")
    several(tmp_path, save, [*ROWS, "a|d,valid,p5"])
    with pytest.raises(InputError, match="every image of class d into the select split"):
        make_split(Dataset.open(folder, split_column="part"), folds=0, share=0.2, seed=0)


def test_a_label_in_one_group_is_named_and_a_combination_is_not(tmp_path, save):
    dataset = Dataset.open(several(tmp_path, save, ROWS), group="plant")
    split = make_folds(dataset, k=2, seed=0)
    notes = " ".join(describe_limits(dataset, split))
    assert "class c: all 2 images are in one group" in notes
    assert "a|b" not in notes
    one = Dataset.open(
        several(tmp_path, save, [row[:-2] + f"p{k % 2}" for k, row in enumerate(ROWS)]), group="plant"
    )
    with pytest.raises(InputError, match=r"a: 3 images, 2 in different groups") as told:
        make_folds(one, k=5, seed=0)
    assert "a|b" not in str(told.value)
