"""Folders that may not be the classes: copies of the dataset, datasets, and those of images and masks."""

import pytest

from tests.data.layouts.made import CLASSES, facts, left_out, make, refusal, table
from tune_paddy.data.layouts.detect import list_dataset


def classes_in(*folders, first=0):
    """Images of each class below each folder."""
    return [f"{folder}/{label}/{first + k}.jpg" for folder in folders for label in CLASSES for k in range(3)]


@pytest.mark.parametrize(
    ("outer", "inner"),
    [("cells", "cells/cells"), ("", "all_leaves"), ("", "unpacked/leaves"), ("train", "train/old")],
)
def test_a_copy_of_the_dataset_beside_its_classes_is_no_class(tmp_path, outer, inner):
    make(tmp_path, *(name.removeprefix("/") for name in classes_in(outer, inner)))
    told = refusal(tmp_path)
    assert "may be a copy of the dataset or a class, since it holds folders of the same names" in told
    assert f"`images={inner}`" in told
    assert facts(tmp_path, images=inner) == (9, list(CLASSES), 0)
    assert facts(tmp_path, images=outer or ".")[0] == 18


def test_a_class_may_hold_one_folder_with_the_name_of_another_class(tmp_path):
    make(tmp_path, *classes_in("leaves"), "leaves/blast/healthy/9.jpg")
    assert facts(tmp_path) == (10, list(CLASSES), 0)


def test_datasets_in_folders_of_their_own_are_refused(tmp_path):
    for name in ("small/fruits", "original/fruits-large"):
        make(tmp_path, *classes_in(f"{name}/Training"), *classes_in(f"{name}/Test", first=9))
    told = refusal(tmp_path)
    assert (
        "several folders are divided into parts of a dataset, such as original/fruits-large/Training" in told
    )
    assert facts(tmp_path / "small") == (9, list(CLASSES), 9)


@pytest.mark.parametrize("other", ["healthy/train/p3/1.jpg", "healthy/1.jpg"])
def test_classes_that_are_divided_into_parts_of_patients_are_read_where_a_person_says_so(tmp_path, other):
    make(tmp_path, *(f"blast/{part}/p{k}/1.jpg" for part in ("train", "test") for k in (1, 2)), other)
    assert "`images=.` if " in refusal(tmp_path)
    assert facts(tmp_path, images=".") == (5, ["blast", "healthy"], 0)


@pytest.mark.parametrize(
    "names",
    [
        ("images", "masks"),
        ("part_1", "part_2", "part_3"),
        ("scans_images_1", "scans_images_2"),
        ("JPEGImages", "SegmentationClass", "SegmentationObject"),
    ],
)
def test_folders_that_are_named_after_what_they_hold_are_no_classes(tmp_path, names):
    make(tmp_path, *(f"{name}/{k}.jpg" for name in names for k in range(3)))
    assert "say that they hold images, not which class these have" in refusal(tmp_path)
    assert facts(tmp_path, images=".")[1] == sorted(names)


def test_a_table_of_labels_is_read_beside_folders_that_are_named_after_what_they_hold(tmp_path):
    names = [f"images_{1 + k // 6}/{k}.jpg" for k in range(12)]
    make(tmp_path, *names, *(f"masks/{k}.png" for k in range(12)))
    table(
        tmp_path / "data.csv", [("image", "state"), *((name, CLASSES[k % 3]) for k, name in enumerate(names))]
    )
    assert facts(tmp_path) == (12, list(CLASSES), 0)


@pytest.mark.parametrize(
    "names",
    [
        ("mask", "no_mask"), ("image_cat", "image_dog"), ("day1", "day2"), ("Class 1", "Class 2"),
        ("class_0", "class_1"), ("jpeg", "png"), ("object", "background"),
    ],
)  # fmt: skip
def test_names_that_tell_classes_apart_are_classes(tmp_path, names):
    make(tmp_path, *(f"{name}/{k}.jpg" for name in names for k in range(3)))
    assert facts(tmp_path) == (6, sorted(names), 0)


def test_masks_beside_their_images_are_noted(tmp_path):
    make(
        tmp_path,
        *(f"{label}/{label} ({k}){end}.png" for label in CLASSES for k in (1, 2) for end in ("", "_mask")),
    )
    make(tmp_path, "blast/blast (1)_mask_1.png")
    (note,) = list_dataset(tmp_path).notes
    assert note.startswith(
        "7 images with the name of another and a word for a mask, such as blast/blast (1)_mask.png"
    )


@pytest.mark.parametrize("end", ["", "_mask"])
@pytest.mark.parametrize("images", ["images/", ""])
def test_masks_in_folders_of_their_own_in_the_classes_are_left_out(tmp_path, images, end):
    make(tmp_path, *(f"{label}/{images}{label}-{k}.png" for label in CLASSES for k in range(3)))
    make(tmp_path, *(f"{label}/masks/{label}-{k}{end}.png" for label in CLASSES for k in range(3)))
    assert facts(tmp_path) == facts(tmp_path, images=".") == (9, list(CLASSES), 0)
    assert left_out(tmp_path) == {"image in no class folder": 9}
    assert (
        "9 images in folders of masks, such as blast/masks, with names of images beside them: left out"
        in list_dataset(tmp_path).notes
    )


@pytest.mark.parametrize("inner", ["", "blast/"])
def test_masks_in_folders_of_their_own_are_not_predicted(tmp_path, inner):
    make(tmp_path, *classes_in("train"))
    make(tmp_path, *(f"test/{inner}{kind}/{k}.jpg" for kind in ("images", "masks") for k in range(2)))
    assert facts(tmp_path) == (9, list(CLASSES), 2)
    assert left_out(tmp_path) == {"image in no class folder": 2}


def test_folders_in_a_class_that_tell_its_images_apart_are_no_masks(tmp_path):
    make(tmp_path, *(f"people/{name}/{k}.jpg" for name in ("mask", "no_mask") for k in range(3)))
    make(tmp_path, *(f"animals/{k}.jpg" for k in range(3)))
    assert facts(tmp_path) == (9, ["animals", "people"], 0)


@pytest.mark.parametrize("name", ["@eaDir", "$RECYCLE.BIN", "#recycle", "System Volume Information"])
def test_folders_of_systems_and_file_servers_are_no_classes(tmp_path, name):
    make(tmp_path, *classes_in("leaves"), f"leaves/{name}/1.jpg", f"leaves/blast/{name}/1.jpg/SMALL.jpg")
    assert facts(tmp_path) == (9, list(CLASSES), 0)
    assert left_out(tmp_path) == {"hidden": 2}


def test_a_folder_of_folders_beside_flat_ones_is_noted_as_one_class(tmp_path):
    make(tmp_path, *classes_in("simpsons"), *(f"kaggle_testset/{k}.jpg" for k in range(3)))
    (note,) = list_dataset(tmp_path).notes
    assert (
        note
        == "simpsons is one class; names of folders in it (blast, healthy, tungro) are not used as labels"
    )


@pytest.mark.parametrize("name", ["data", "Images", "dataset_images"])
def test_a_folder_of_folders_that_is_named_after_what_it_holds_is_no_class(tmp_path, name):
    make(tmp_path, *classes_in(name), *(f"docs/{k}.png" for k in range(3)))
    assert "the folders in it (blast, healthy, tungro) may be the classes" in refusal(tmp_path)
    assert facts(tmp_path, images=name) == (9, list(CLASSES), 0)
    assert facts(tmp_path, images=".") == (12, sorted(["docs", name]), 0)


def test_a_class_that_is_named_after_what_it_holds_may_have_parts(tmp_path):
    make(tmp_path, *(f"image/camera_{k}/1.jpg" for k in (1, 2)), "graph/1.jpg")
    assert facts(tmp_path) == (3, ["graph", "image"], 0)
    make(tmp_path, "image/anna/1.jpg", "graph/ben/1.jpg", "graph/carl/1.jpg")
    assert facts(tmp_path) == (6, ["graph", "image"], 0)


def test_days_and_years_in_one_of_the_classes_are_not_noted(tmp_path):
    make(tmp_path, "blast/2023/1.jpg", "blast/2024/2.jpg", "healthy/3.jpg")
    assert list_dataset(tmp_path).notes == ()


def test_a_validation_part_beside_folders_of_another_name_does_not_train_alone(tmp_path):
    make(tmp_path, *classes_in("learn"), *classes_in("val", first=9))
    assert "learn may be the part to train on beside val: name it train" in refusal(tmp_path)
    assert facts(tmp_path, images="learn") == (9, list(CLASSES), 0)


@pytest.mark.parametrize("inner", ["", "/day_1"])
def test_classes_beside_a_validation_part_are_read_with_it(tmp_path, inner):
    make(
        tmp_path,
        *classes_in("val", first=9),
        *(f"{label}{inner}/{k}.jpg" for label in CLASSES for k in (1, 2)),
    )
    assert facts(tmp_path) == (15, list(CLASSES), 0)
    assert list_dataset(tmp_path).notes[0].startswith("val: read as labelled images")


def test_small_and_further_parts_to_train_on_are_parts(tmp_path):
    make(
        tmp_path, *classes_in("train_mini"), *classes_in("train_extra", first=3), *classes_in("val", first=9)
    )
    assert facts(tmp_path) == (27, list(CLASSES), 0)
