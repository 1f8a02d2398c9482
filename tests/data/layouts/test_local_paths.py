"""Paths in tables that begin elsewhere than the dataset, and names of images that are not there."""

import pytest

from tests.data.layouts.made import CLASSES, facts, left_out, make, refusal, table
from tune_paddy.data.layouts.detect import list_dataset


@pytest.fixture
def cameras(tmp_path):
    """Images in the folders of two cameras, which are no classes."""
    names = [f"camera_{'ab'[k % 2]}/{k:04d}.jpg" for k in range(12)]
    make(tmp_path / "data", *names)
    return tmp_path / "data", [(name, CLASSES[k % 3]) for k, name in enumerate(names)]


def begun(rows, start):
    return [("image", "label"), *((start + name, label) for name, label in rows)]


STARTS = [
    "/kaggle/input/leaves/",
    "C:\\leaves\\",
    "https://example.org/v1/",
    "gs://leaves/",
    "data/",
    "/",
    "~/a b/",
]


@pytest.mark.parametrize("start", STARTS)
def test_paths_are_read_from_the_dataset_on(cameras, start):
    root, rows = cameras
    table(root / "labels.csv", begun(rows, start))
    assert facts(root) == (12, list(CLASSES), 0)
    listing = list_dataset(root)
    assert dict(zip(listing.labelled["id"], listing.labelled["label"], strict=True)) == dict(rows)
    assert listing.notes == (f"labels.csv: its paths are read without {start}, which is not here",)


def test_names_alone_are_read_where_no_folder_of_a_path_is_here(cameras):
    """The column of numbers names images of other rows."""
    root, rows = cameras
    uploads = [
        (f"{(k + 5) % 12:04d}", f"/upload/7/{name[-8:]}", label) for k, (name, label) in enumerate(rows)
    ]
    table(root / "export.csv", [("id", "image", "class"), *uploads])
    listing = list_dataset(root)
    assert dict(zip(listing.labelled["path"], listing.labelled["label"], strict=True)) == {
        str(root / name): label for name, label in rows
    }


def test_paths_that_are_here_stay(cameras, tmp_path):
    root, rows = cameras
    make(tmp_path / "other", *(name for name, _ in rows))
    table(root / "labels.csv", begun(rows, f"{tmp_path}/other/"))
    assert set(list_dataset(root / "labels.csv").labelled["path"]) == {
        f"{tmp_path}/other/{name}" for name, _ in rows
    }


def test_an_image_of_one_part_does_not_stand_for_one_of_another(tmp_path):
    names = [f"blast/{k}.jpg" for k in range(4)] + [f"healthy/{k}.jpg" for k in range(4)]
    make(tmp_path, *(f"valid/{name}" for name in names))
    table(
        tmp_path / "labels.csv",
        [("path", "label"), *((f"/old/train/{name}", "ab"[k % 2]) for k, name in enumerate(names))],
    )
    assert "/old/train/blast/0.jpg is not there" in refusal(tmp_path)


def test_images_that_are_missing_behind_the_beginning_are_refused(cameras):
    root, rows = cameras
    (root / rows[3][0]).unlink()
    table(root / "labels.csv", begun(rows, "/mnt/leaves/"))
    assert f"line 5: {rows[3][0]} is not there" in refusal(root)


def test_a_header_that_is_a_path_is_refused_as_that(cameras):
    root, rows = cameras
    table(root / "labels.csv", begun(rows, "gs://leaves/")[1:])
    assert f"labels.csv:1: starts with the image {rows[0][0]}" in refusal(root)


def test_a_list_of_images_to_predict_may_begin_elsewhere(tmp_path):
    make(tmp_path, *(f"{part}/{k}.jpg" for part in ("train", "test") for k in range(6)))
    table(tmp_path / "train.csv", [("path", "label"), *((f"/mnt/x/train/{k}.jpg", k % 2) for k in range(6))])
    table(tmp_path / "test.csv", [("path",), *((f"/mnt/x/test/{k}.jpg",) for k in (3, 1))])
    listing = list_dataset(tmp_path)
    assert [*listing.test["path"]] == [str(tmp_path / f"test/{k}.jpg") for k in (3, 1)]


def test_a_table_of_image_files_that_are_not_there_is_never_passed_over(cameras):
    root, rows = cameras
    table(root / "export.csv", [("Bild", "Klasse"), *((f"IMG_{name[-8:]}", label) for name, label in rows)])
    assert "column Bild names image files, such as IMG_0000.jpg, but none that is in" in refusal(root)
    assert facts(root, labels="folders")[1] == ["camera_a", "camera_b"]


def test_a_list_of_image_files_that_are_not_there_is_left_out(cameras):
    root, _ = cameras
    table(root / "sources.csv", [("file", "pixels"), *((f"x{k}.jpg", k) for k in range(12))])
    assert left_out(root) == {"table (no column of it names images)": 1}


def test_ids_that_are_named_after_their_part_are_no_parts(cameras):
    root, rows = cameras
    table(root / "a.csv", [("image", "label"), *((f"Train_{k}", label) for k, (_, label) in enumerate(rows))])
    assert "a.csv: 12 images missing" in refusal(root)


def test_paths_that_do_not_name_the_images_stay_without_a_note(tmp_path):
    """The originals of the images had other numbers."""
    make(tmp_path, *(f"train/{k}.jpg" for k in range(12)))
    rows = [(k, f"camera/{5 * k % 12}.jpg", CLASSES[k % 3]) for k in range(12)]
    table(tmp_path / "train.csv", [("id", "original", "label"), *rows])
    listing = list_dataset(tmp_path)
    assert [*listing.labelled["original"]] == [original for _, original, _ in rows]
    assert listing.notes == ()
