"""Tables in files that are not named like one: read, refused, or left out; and tables of single parts."""

import json

import pytest

from tests.data.layouts.made import CLASSES, facts, left_out, make, refusal, table
from tune_paddy.data.layouts.detect import list_dataset


@pytest.fixture
def cameras(tmp_path):
    """Images in the folders of two cameras, which are no classes."""
    names = [f"camera_{'ab'[k % 2]}/{k:04d}.jpg" for k in range(12)]
    make(tmp_path, *names)
    return tmp_path, [(name, CLASSES[k % 3]) for k, name in enumerate(names)]


def test_a_table_without_a_suffix_is_read(cameras):
    root, rows = cameras
    make(root, "README", "LICENSE")
    table(root / "metadata", [("image", "label"), *rows])
    assert facts(root) == (12, list(CLASSES), 0)
    assert left_out(root) == {"file without a suffix": 2}


def test_a_text_whose_label_column_is_not_clear_is_asked_about(cameras):
    root, rows = cameras
    table(root / "metadata", [("image", "dx", "sex"), *((*row, "fm"[k % 2]) for k, row in enumerate(rows))])
    assert "several may hold the labels (dx, sex)" in refusal(root)
    assert facts(root, label_column="dx") == (12, list(CLASSES), 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_a_text_of_another_form_is_refused_in_any_encoding(cameras, encoding):
    root, rows = cameras
    table(root / "labels.txt", [(name, f"{label} ü") for name, label in rows], " ", encoding)
    assert "its lines name images, but its columns are not told apart" in refusal(root)


def test_yaml_that_names_images_is_refused(cameras):
    root, rows = cameras
    table(root / "labels.yaml", rows, ": ")
    assert "its lines name images, but its columns are not told apart" in refusal(root)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("labels.csv.gz", "unpack it"), ("train.csv.zip", "unpack it"), ("annotations.json.gz", "unpack it"),
        ("labels.pkl", "save it as CSV"), ("image_labels.mat", "save it as CSV"),
        ("train.xlsm", "save it as CSV"),
    ],
)  # fmt: skip
def test_a_file_that_is_named_like_labels_is_not_passed_over(cameras, name, way_out):
    root, _ = cameras
    make(root, name)
    assert f"{name}: is not read: {way_out}" in refusal(root)
    assert facts(root, labels="folders")[1] == ["camera_a", "camera_b"]


@pytest.mark.parametrize(
    "name", ["train.zip", "model.pkl", "classes.npy", "train.h5", "sample_submission.csv.zip"]
)
def test_other_files_do_not_compete_with_class_folders(cameras, name):
    root, _ = cameras
    make(root, name)
    assert facts(root)[1] == ["camera_a", "camera_b"]
    assert sum(left_out(root).values()) == 1


def test_a_packed_table_that_is_also_there_unpacked_is_left_out(cameras):
    root, rows = cameras
    make(root, "train.csv.zip", "further.jpg")
    table(root / "train.csv", [("image", "label"), *rows])
    assert facts(root) == (12, list(CLASSES), 0)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_table_in_a_part_names_the_images_of_that_part(tmp_path, suffix):
    for part in ("train", "test"):
        rows = [(f"{k:04d}.png", CLASSES[k % 3]) for k in range(6)]
        make(tmp_path / part, *(name for name, _ in rows))
        if suffix == "csv":
            table(tmp_path / part / "metadata.csv", [("file_name", "label"), *rows])
        else:
            lines = (json.dumps({"file_name": name, "label": label}) for name, label in rows)
            (tmp_path / part / "metadata.jsonl").write_text("\n".join(lines))
    listing = list_dataset(tmp_path)
    assert {*listing.labelled["path"]} == {str(tmp_path / f"train/{k:04d}.png") for k in range(6)}
    assert {*listing.test["path"]} == {str(tmp_path / f"test/{k:04d}.png") for k in range(6)}


def test_empty_rows_below_a_table_do_not_count(cameras):
    root, rows = cameras
    table(root / "labels.csv", [("image", "label"), *rows, ("", ""), ("", "")])
    assert facts(root) == (12, list(CLASSES), 0)


@pytest.mark.parametrize("name", ["train.zip", "train/1.dcm", "images.7z"])
def test_a_folder_without_images_says_what_it_holds_instead(tmp_path, name):
    make(tmp_path, name)
    told = f"there are no images, but 1 × {name[name.rindex('.') :]} file such as {name}: unpack archives"
    assert told in refusal(tmp_path)
    table(tmp_path / "train.csv", [("id", "label"), *((k, "ab"[k % 2]) for k in range(4))])
    assert told in refusal(tmp_path)


def test_a_table_of_other_names_than_those_of_the_images_shows_one_of_these(tmp_path):
    make(tmp_path, *(f"train/{k}_green.png" for k in range(4)))
    table(tmp_path / "train.csv", [("Id", "Target"), *((k, "ab"[k % 2]) for k in range(4))])
    assert "4 images missing" in refusal(tmp_path)
    assert "names there are such as train/0_green.png" in refusal(tmp_path)


def test_a_list_of_labelled_images_alone_is_no_list_of_images_to_predict(tmp_path):
    names = [f"{label}/{k}.jpg" for label in CLASSES for k in range(3)]
    make(tmp_path, *names, "test/9.jpg")
    table(tmp_path / "predictions.csv", [("file", "prediction"), *((name, CLASSES[0]) for name in names)])
    assert facts(tmp_path) == (9, list(CLASSES), 1)
    assert left_out(tmp_path) == {"table (list of images to predict)": 1}
    make(tmp_path, "more/8.jpg")
    table(tmp_path / "test.csv", [("file",), ("more/8.jpg",), ("test/9.jpg",)])
    assert [*list_dataset(tmp_path).test["id"]] == ["more/8.jpg", "test/9.jpg"]


def test_an_id_in_two_folders_to_train_on_is_ambiguous_unless_its_folder_is_told(tmp_path):
    make(tmp_path, *(f"train_{size}/{k}.jpg" for size in (224, 512) for k in range(6)))
    table(tmp_path / "train.csv", [("id", "label"), *((k, CLASSES[k % 3]) for k in range(6))])
    assert "6 images found several times" in refusal(tmp_path)
    assert facts(tmp_path, images="train_512") == (6, list(CLASSES), 0)
    paths = [(f"train_224/{k}.jpg", CLASSES[k % 3]) for k in range(6)]
    table(tmp_path / "train.csv", [("id", "label"), *paths])
    assert facts(tmp_path) == (6, list(CLASSES), 0)


def test_folders_to_train_on_with_other_names_of_images_are_read_together(tmp_path):
    make(tmp_path, *(f"train_{k % 2}/{k}.jpg" for k in range(6)))
    table(tmp_path / "train.csv", [("id", "label"), *((k, CLASSES[k % 3]) for k in range(6))])
    assert facts(tmp_path) == (6, list(CLASSES), 0)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("labels.txt", '{{"file": "{}", "label": "{}"}}'),
        ("labels.md", "| {} | {} |"),
        ("labels.html", "<tr><td>{}</td><td>{}</td></tr>"),
    ],
)
def test_lines_of_other_formats_that_name_images_are_refused(cameras, name, line):
    root, rows = cameras
    (root / name).write_text("".join(line.format(*row) + "\n" for row in rows))
    assert "its lines name images, but its columns are not told apart" in refusal(root)


def test_json_that_names_images_by_paths_of_another_machine_is_refused(cameras):
    root, rows = cameras
    tasks = [{"data": {"image": f"/data/upload/1/{name[-8:]}"}, "choice": label} for name, label in rows]
    (root / "project.json").write_text(json.dumps(tasks))
    assert "it names 12 images of the dataset" in refusal(root)


def test_accents_in_names_may_be_characters_of_their_own(tmp_path):
    make(tmp_path, *(f"photos/bl\u00e9 {k}.jpg" for k in range(6)))
    table(
        tmp_path / "labels.csv",
        [("file", "label"), *((f"ble\u0301 {k}.jpg", CLASSES[k % 3]) for k in range(6))],
    )
    assert facts(tmp_path) == (6, list(CLASSES), 0)


@pytest.mark.parametrize("header", [("id",), ("pixel_1", "pixel_2")])
def test_a_list_whose_images_are_not_there_is_left_out_where_a_person_names_the_labels(tmp_path, header):
    names = [f"{label}/{k}.jpg" for label in CLASSES for k in range(3)]
    make(tmp_path, *(f"train/{name}" for name in names))
    table(tmp_path / "labels.csv", [("file", "label"), *((name, name[0]) for name in names)])
    table(tmp_path / "test.csv", [header, *(tuple(f"x{k}{i}" for i in header) for k in range(4))])
    assert "test.csv: none of the images to predict that it lists is in" in refusal(tmp_path)
    assert facts(tmp_path, labels="folders") == (9, list(CLASSES), 0)
    assert facts(tmp_path, labels="labels.csv") == (9, ["b", "h", "t"], 0)
    assert left_out(tmp_path, labels="folders")["table (list of images to predict)"] == 1


@pytest.mark.parametrize("names", [range(12), range(5)], ids=["all names", "some names"])
def test_a_copy_of_a_submission_is_no_second_table_where_parts_share_names(tmp_path, names):
    make(tmp_path, *(f"train/{k}.jpg" for k in range(12)), *(f"test/{k}.jpg" for k in names))
    table(tmp_path / "train.csv", [("id", "label"), *((k, CLASSES[k % 3]) for k in range(12))])
    table(tmp_path / "best.csv", [("id", "label"), *((k, CLASSES[k % 2]) for k in names)])
    assert facts(tmp_path) == (12, list(CLASSES), len(names))
    assert left_out(tmp_path) == {"table (it names all images to predict, as a submission does)": 1}
    table(tmp_path / "best.csv", [("id", "label"), *((k, CLASSES[k % 2]) for k in [*names][1:])])
    assert "several tables give labels, best.csv, train.csv: name one" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["cat_to_name.json", "names.csv"])
def test_names_of_classes_whose_numbers_name_images_of_several_folders_are_no_labels(tmp_path, name):
    make(tmp_path, *(f"train/{label}/{k}.jpg" for label in (1, 2) for k in (1, 2, 3)))
    if name.endswith(".csv"):
        table(tmp_path / name, [("id", "name"), (1, "rose"), (2, "lily")])
    else:
        (tmp_path / name).write_text(json.dumps({"1": "rose", "2": "lily"}))
    assert facts(tmp_path) == (6, ["1", "2"], 0)
    assert sum(left_out(tmp_path).values()) == 1


def test_images_of_class_folders_that_a_list_names_are_predicted_and_not_labelled(tmp_path):
    names = [f"{label}/{k}.jpg" for label in CLASSES for k in range(4)]
    make(tmp_path, *(f"images/{name}" for name in names))
    table(tmp_path / "train.csv", [("file", "label"), *((n, n.split("/")[0]) for n in names if "3" not in n)])
    table(tmp_path / "test.csv", [("file", "label"), *((n, n.split("/")[0]) for n in names if "3" in n)])
    assert facts(tmp_path) == (9, list(CLASSES), 3)
    (note,) = list_dataset(tmp_path).notes
    assert note.startswith("3 images that test.csv lists: to be predicted")
    table(tmp_path / "test.csv", [("file",), *((name,) for name in names)])
    assert "test.csv: names all labelled images as images to predict" in refusal(tmp_path)
