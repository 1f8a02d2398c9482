from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.member_data import make_parts, make_refit_parts
from tune_paddy.data.sides.groups import join_groups
from tune_paddy.data.split import SelectSplit, describe_limits, folds_of, make_split, read_groups

Save = Callable[[Path, int], Path]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", "a", "b", "c"])), min_size=1, max_size=20))
def test_groups_are_the_union_of_copies_and_equal_values(images: list[tuple[int, str]]) -> None:
    """The reference joins pairs until nothing changes."""
    expected = list(range(len(images)))
    for _ in images:
        for one, (copy, value) in enumerate(images):
            for other, (copy_too, value_too) in enumerate(images):
                if copy == copy_too or (value and value == value_too):
                    expected[one] = expected[other] = min(expected[one], expected[other])
    joined = join_groups(np.array([copy for copy, _ in images]), [value for _, value in images])
    same = np.equal.outer(np.array(expected), np.array(expected))
    np.testing.assert_array_equal(np.equal.outer(joined, joined), same)


def with_plants(kaggle: Path, plants: str) -> Path:
    """Add a column of plants to the table of `kaggle`."""
    lines = (kaggle / "train.csv").read_text().splitlines()
    rows = [f"{line},{plant}" for line, plant in zip(lines[1:], plants.replace("-", " "), strict=True)]
    (kaggle / "train.csv").write_text("\n".join([f"{lines[0]},plant", *rows]) + "\n")
    return kaggle


PLANTS = "aabbccddeeff"


def sides_of(dataset: Dataset, ids: tuple[str, ...]) -> set[str]:
    return set(dataset.labelled["plant"][dataset.labelled["id"].isin(ids)])


@pytest.mark.parametrize("folds", [0, 3])
def test_a_plant_is_on_one_side_of_the_split_and_in_one_fold(kaggle: Path, folds: int) -> None:
    dataset = Dataset.open(with_plants(kaggle, PLANTS), group="Plant")
    assert "column plant: 6 groups of 2 images" in dataset.description.groups
    split = make_split(dataset, folds=folds, share=0.3, seed=0)
    if folds:
        parts = [
            tuple(name for name, fold in zip(split.select_ids, split.folds, strict=True) if fold == number)
            for number in range(folds)
        ]
    else:
        parts = [split.select_ids, split.train_ids]
    plants = [sides_of(dataset, part) for part in parts]
    assert sum(map(len, plants)) == len(set().union(*plants))


def test_groups_are_stored_with_the_split_and_read_for_cross_fits(kaggle: Path, tmp_path: Path) -> None:
    dataset = Dataset.open(with_plants(kaggle, PLANTS), group="plant")
    split = make_split(dataset, folds=3, share=0.2, seed=0)
    path = tmp_path / "split.json"
    split.save(path)
    assert SelectSplit.load(path, dataset) == split
    group_of = read_groups(path.read_bytes(), split.fingerprint)
    plant_of = dict(zip(dataset.labelled["id"], dataset.labelled["plant"], strict=True))
    for one in split.select_ids:
        for other in split.select_ids:
            assert (group_of[one] == group_of[other]) == (plant_of[one] == plant_of[other])
    assert read_groups(path.read_bytes(), "0" * 16) == {}


def test_parts_carry_groups_only_if_a_column_names_them(kaggle: Path) -> None:
    folder = with_plants(kaggle, PLANTS)
    dataset = Dataset.open(folder, group="plant")
    split = make_split(dataset, folds=3, share=0.2, seed=0)
    fold = make_parts(dataset, split).fold(0)
    assert len(fold.train.groups) == len(fold.train)
    assert len(make_refit_parts(dataset, split).train.groups) == len(dataset.labelled)
    plain = Dataset.open(folder)
    assert not len(make_parts(plain, make_split(plain, folds=0, share=0.3, seed=0)).train.groups)


@pytest.mark.parametrize(
    ("options", "plants", "problem"),
    [
        ({"group": "plant"}, "aaaaaaaaaaaa", "as one group they cannot be divided"),
        ({"group": "plant"}, "------------", "is empty"),
        ({"group": "label"}, PLANTS, "holds the labels"),
        ({"group": "image_id"}, PLANTS, "names the images"),
        ({"group": "plnat"}, PLANTS, "no column is called plnat"),
        ({"group": "plant", "split_column": "age"}, PLANTS, "divides 6 groups"),
        ({"group": "variety", "label_column": "label"}, PLANTS, "as one group"),
    ],
)
def test_what_cannot_be_divided_is_refused_before_training(
    kaggle: Path, options: dict[str, str], plants: str, problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as told:
        Dataset.open(with_plants(kaggle, plants), **options)
    assert set(told.value.options) & {"group", "split_column"}


def test_a_class_in_one_group_is_named_before_training(kaggle: Path) -> None:
    """All four images of `normal`, every third one, are of one plant."""
    dataset = Dataset.open(with_plants(kaggle, "abxcdxefxghx"), group="plant")
    split = make_split(dataset, folds=0, share=0.3, seed=0)
    assert any(
        "class normal: all 4 images are in one group" in line for line in describe_limits(dataset, split)
    )


def test_images_without_a_value_are_groups_of_their_own(kaggle: Path) -> None:
    dataset = Dataset.open(with_plants(kaggle, "aabb--------"), group="plant")
    assert "8 images without a value" in dataset.description.groups
    assert len(np.unique(dataset.groups)) == 10


def test_a_table_of_groups_beside_class_folders_is_found_and_named(folders: Path) -> None:
    (folders / "plants.csv").write_text("image;plant\n" + "".join(f"{n};p{n // 2}\n" for n in range(6)))
    for options in ({}, {"labels": "plants.csv"}, {"labels": "folders"}):
        dataset = Dataset.open(folders, group="plant", **options)
        assert dataset.classes == ("cat", "dog")
        assert dataset.description.groups.startswith("plants.csv, column plant: 3 groups of 2 images")
        assert not dataset.description.left_out


def test_class_folders_without_such_a_table_or_with_an_incomplete_one_are_refused(folders: Path) -> None:
    with pytest.raises(InputError, match="no table has a column of images"):
        Dataset.open(folders, group="plant")
    (folders / "plants.csv").write_text("image,plant\n0,a\n1,b\n")
    with pytest.raises(InputError, match="names 2 of 6 labelled images"):
        Dataset.open(folders, group="plant")


def test_a_column_defines_the_split_or_the_folds(kaggle: Path) -> None:
    dataset = Dataset.open(with_plants(kaggle, "111000000000"), split_column="plant")
    split = make_split(dataset, folds=0, share=0.2, seed=0)
    assert sides_of(dataset, split.select_ids) == {1}
    assert "1 to select with, 3 images; 9 to train on" in dataset.description.split


def test_a_column_of_folds_sets_their_number_and_contradictions_are_refused(kaggle: Path) -> None:
    dataset = Dataset.open(with_plants(kaggle, "000111222000"), split_column="plant")
    assert folds_of(dataset, 0, chosen=False) == folds_of(dataset, 3, chosen=True) == 3
    split = make_split(dataset, folds=3, share=0.2, seed=0)
    plant_of = dict(zip(dataset.labelled["id"], dataset.labelled["plant"], strict=True))
    assert [plant_of[name] for name in split.select_ids] == list(split.folds)
    with pytest.raises(InputError, match="contradicts") as told:
        folds_of(dataset, 5, chosen=True)
    with pytest.raises(InputError, match="`folds=0` contradicts the column plant"):
        folds_of(dataset, 0, chosen=True)
    assert set(told.value.options) == {"folds", "split_column"}


def test_a_given_split_that_takes_a_whole_class_is_refused(kaggle: Path) -> None:
    dataset = Dataset.open(with_plants(kaggle, "001001001001"), split_column="plant")
    with pytest.raises(InputError, match="puts every image of class normal into the select split"):
        make_split(dataset, folds=0, share=0.2, seed=0)


def test_a_given_fold_that_takes_a_whole_class_is_named_as_the_column_has_it(kaggle: Path) -> None:
    dataset = Dataset.open(with_plants(kaggle, "572572572572"), split_column="plant")
    folds = folds_of(dataset, 0, chosen=False)
    with pytest.raises(InputError, match="puts every image of class normal into fold 2:"):
        make_split(dataset, folds=folds, share=0.2, seed=0)


def table_of(folder: Path, header: str, *rows: str) -> None:
    lines = [f"{number}.png,{row}" for number, row in enumerate(rows)]
    (folder / "train.csv").write_text("\n".join([header, *lines]) + "\n")


@pytest.mark.parametrize(
    ("header", "rows", "classes"),
    [
        ("image,cat,dog,patient", ("1,0", "0,1"), ("cat", "dog")),
        ("image,state,patient", ("good", "bad"), ("bad", "good")),
    ],
    ids=["flags", "unusual name"],
)
def test_a_table_of_labels_in_columns_of_any_name_has_groups(
    tmp_path: Path, save: Save, header: str, rows: tuple[str, str], classes: tuple[str, ...]
) -> None:
    for number in range(8):
        save(tmp_path / "train" / f"{number}.png", number)
    table_of(tmp_path, header, *(f"{rows[number % 2]},p{number // 2}" for number in range(8)))
    dataset = Dataset.open(tmp_path, group="patient")
    assert dataset.classes == classes
    assert "4 groups of 2 images" in dataset.description.groups


def test_a_table_that_may_hold_labels_or_groups_of_class_folders_is_asked_for(folders: Path) -> None:
    table_of(folders, "image,state,plant", *(f"{'ab'[number % 2]},p{number // 2}" for number in range(6)))
    with pytest.raises(InputError, match="with other labels than their names; give `labels=FILE`"):
        Dataset.open(folders, group="plant")
    assert Dataset.open(folders, group="plant", labels="train.csv").classes == ("a", "b")
    assert Dataset.open(folders, group="plant", labels="folders").classes == ("cat", "dog")
