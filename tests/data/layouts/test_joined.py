"""Tables of labels of each part to train on are read together."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.data.layouts.made import CLASSES, facts, left_out, make, refusal, table
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.layouts.listing import Listing
from tune_paddy.data.options import ReadOptions

LABELS = [*CLASSES, *CLASSES, CLASSES[0]]
"""Labels of the images of a part to train on; a part to validate with has the first three."""

VALIDATES = "read as labelled images; the program chooses its own images to validate with"

Rows = Sequence[Sequence[object]]


def rows_of(labels: Sequence[str], start: int = 0, *, suffix: str = ".jpg") -> list[tuple[str, str]]:
    """Return (image, label) of images that are numbered from a start."""
    return [(f"{start + k}{suffix}", label) for k, label in enumerate(labels)]


def put(root: Path, folder: str, rows: Rows) -> None:
    """Create the images of rows in a folder."""
    make(root, *(f"{folder}/{row[0]}" for row in rows))


def hugging_face(root: Path) -> None:
    """Parts of Hugging Face's ImageFolder, whose images have the same names."""
    for part, labels in (("train", LABELS), ("validation", CLASSES), ("test", CLASSES)):
        put(root, part, rows_of(labels))
        table(root / part / "metadata.csv", [("file_name", "label"), *rows_of(labels)])


def json_lines(root: Path) -> None:
    """Parts of Hugging Face's ImageFolder with JSON Lines."""
    for part, labels in (("train", LABELS), ("validation", CLASSES), ("test", CLASSES)):
        put(root, part, rows_of(labels))
        lines = [json.dumps({"file_name": name, "label": label}) for name, label in rows_of(labels)]
        (root / part / "metadata.jsonl").write_text("\n".join(lines))


def one_hot(labels: Sequence[str], start: int = 0) -> list[tuple[object, ...]]:
    """Return rows of an image and a column of 0 and 1 for each class."""
    return [(name, *(int(label == one) for one in CLASSES)) for name, label in rows_of(labels, start)]


def roboflow(root: Path) -> None:
    """Parts of Roboflow's export for classification."""
    for start, part, labels in ((0, "train", LABELS), (10, "valid", CLASSES), (20, "test", CLASSES)):
        put(root, part, rows_of(labels, start))
        header = ("filename", *(f" {name}" for name in CLASSES))
        table(root / part / "_classes.csv", [header, *one_hot(labels, start)])


def beside_folders(root: Path) -> None:
    """A table of each part beside folders whose images have the same names."""
    for part, folder, labels in (("train", "train", LABELS), ("dev", "val", CLASSES)):
        put(root, folder, rows_of(labels))
        table(root / f"{part}.csv", [("image", "label"), *rows_of(labels, suffix="")])
    put(root, "test", rows_of(CLASSES))


def one_folder(root: Path) -> None:
    """A table of each part of the images in one folder."""
    for start, part, labels in ((0, "train", LABELS), (10, "val", CLASSES), (20, "test", CLASSES)):
        put(root, "images", rows_of(labels, start))
        table(root / f"{part}.csv", [("image", "label"), *rows_of(labels, start)])


def deeper(root: Path) -> None:
    """Tables in folders of their own, images in folders within the parts."""
    for part, labels in (("train", LABELS), ("val", CLASSES)):
        put(root, f"{part}/images", rows_of(labels))
        table(root / f"{part}/labels/labels.csv", [("image", "label"), *rows_of(labels)])
    put(root, "test/images", rows_of(CLASSES))


def annotations(root: Path) -> None:
    """Tables in one folder, with names that tell a part only beside each other."""
    for start, part, labels in ((0, "train", LABELS), (10, "val", CLASSES)):
        put(root, f"images/{part}", rows_of(labels, start))
        table(root / f"annotations/leaves_{part}.tsv", [("image", "label"), *rows_of(labels, start)], "\t")
    put(root, "images/test", rows_of(CLASSES))


SHAPES = [hugging_face, json_lines, roboflow, beside_folders, one_folder, deeper, annotations]


def opened(root: Path, **options: str) -> Listing:
    """List a dataset."""
    return list_dataset(root, ReadOptions(**options))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_tables_of_the_parts_to_train_on_are_read_together(tmp_path: Path, shape: Callable[[Path], None]):
    shape(tmp_path)
    assert facts(tmp_path) == (10, list(CLASSES), 3)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_each_image_has_the_label_of_the_table_of_its_part(tmp_path: Path, shape: Callable[[Path], None]):
    shape(tmp_path)
    labelled = opened(tmp_path).labelled
    places = [Path(path).relative_to(tmp_path).as_posix() for path in labelled["path"]]
    assert labelled["label"].tolist() == [*LABELS, *CLASSES]
    assert all("train" in place or place.startswith("images/") for place in places[: len(LABELS)])
    assert all("val" in place or place.startswith("images/1") for place in places[len(LABELS) :])
    assert labelled["id"].is_unique


def test_both_tables_are_named_as_the_source(tmp_path):
    hugging_face(tmp_path)
    lines = opened(tmp_path).describe().lines()
    assert lines[1:3] == [
        "  layout: a table of labels, images in train, validation",
        "  labels: train/metadata.csv and validation/metadata.csv, column label; images by column file_name",
    ]


def test_the_note_on_validation_parts_is_that_of_class_folders(tmp_path):
    one_folder(tmp_path)
    assert opened(tmp_path).notes == (f"val.csv: {VALIDATES}",)
    put(tmp_path / "folders", "train", [(f"{label}/{k}.jpg",) for k, label in enumerate(LABELS)])
    put(tmp_path / "folders", "val", [(f"{label}/{k}.jpg",) for k, label in enumerate(CLASSES)])
    assert opened(tmp_path / "folders").notes == (f"val: {VALIDATES}",)


def test_ids_stay_where_they_tell_all_images_apart_and_are_paths_otherwise(tmp_path):
    one_folder(tmp_path / "apart")
    beside_folders(tmp_path / "same")
    assert opened(tmp_path / "apart").labelled["id"].tolist()[6:8] == ["6.jpg", "10.jpg"]
    assert opened(tmp_path / "same").labelled["id"].tolist()[6:8] == ["train/6", "val/0"]


def test_a_joined_table_is_not_left_out_and_that_of_the_test_part_is(tmp_path):
    hugging_face(tmp_path)
    assert left_out(tmp_path) == {"table (it names images to predict only)": 1}


def test_one_table_that_a_person_names_is_read_alone(tmp_path):
    one_folder(tmp_path)
    assert opened(tmp_path, labels="val.csv").labelled["id"].tolist() == ["10.jpg", "11.jpg", "12.jpg"]


def test_images_that_no_table_names_are_left_out_with_both_names(tmp_path):
    one_folder(tmp_path)
    make(tmp_path, "images/99.jpg")
    assert left_out(tmp_path) == {"image that train.csv and val.csv do not name": 1}


def test_a_list_of_the_test_part_is_known_by_the_names_beside_it(tmp_path):
    for start, part, labels in ((0, "train", LABELS), (10, "val", LABELS), (20, "test", LABELS)):
        put(tmp_path, "images", rows_of(labels, start))
        table(tmp_path / f"leaves_{part}.csv", [("image", "label"), *rows_of(labels, start)])
    assert facts(tmp_path) == (14, list(CLASSES), 7)


def test_labels_in_a_folder_of_the_test_part_are_not_used(tmp_path):
    deeper(tmp_path)
    table(tmp_path / "test/labels/labels.csv", [("image", "label"), *rows_of(CLASSES)])
    assert facts(tmp_path) == (10, list(CLASSES), 3)


def test_a_name_that_an_image_to_predict_has_too_means_the_other_image(tmp_path):
    for folder, part in (("train", "train"), ("images", "val")):
        rows = rows_of(LABELS, 0 if part == "train" else 10)
        put(tmp_path, folder, rows)
        table(tmp_path / f"{part}.csv", [("image", "label"), *rows])
    put(tmp_path, "test", rows_of(LABELS, 10))
    assert facts(tmp_path) == (14, list(CLASSES), 7)


def test_several_labels_in_one_part_make_several_labels_in_all(tmp_path):
    roboflow(tmp_path)
    lines = (tmp_path / "valid/_classes.csv").read_text().replace("10.jpg,1,0,0", "10.jpg,1,1,0")
    (tmp_path / "valid/_classes.csv").write_text(lines)
    found = opened(tmp_path)
    assert found.task.independent
    told = "several labels an image, or none: 2 labels in line 2 of valid/_classes.csv"
    assert found.notes[1] == f"train/_classes.csv and valid/_classes.csv: {told}"


def test_folds_in_folders_are_read_together(tmp_path):
    for fold in "123":
        put(tmp_path, f"fold{fold}/images", rows_of(LABELS))
        table(tmp_path / f"fold{fold}/labels.csv", [("image", "label"), *rows_of(LABELS)])
    found = opened(tmp_path)
    assert found.labels_from.startswith("fold1/labels.csv, fold2/labels.csv and fold3/labels.csv, column")
    assert found.labelled["id"].tolist()[6:8] == ["fold1/images/6.jpg", "fold2/images/0.jpg"]


def test_columns_in_another_order_do_no_harm_and_those_of_one_part_are_not_used(tmp_path):
    put(tmp_path, "images", rows_of([*LABELS, *LABELS]))
    table(tmp_path / "train.csv", [("image", "label", "site"), *((*row, "a") for row in rows_of(LABELS))])
    table(tmp_path / "val.csv", [("label", "image"), *(row[::-1] for row in rows_of(LABELS, 7))])
    found = opened(tmp_path)
    assert found.labelled["label"].tolist() == [*LABELS, *LABELS]
    assert found.labelled.columns.tolist() == ["id", "path", "label"]
    assert found.notes[0] == "train.csv: not used, since the other tables have no such column: site"


def grouped(root: Path, *columns: str) -> None:
    """A table of each part with further columns, whose values are 0 to 3 and repeat."""
    for start, part in ((0, "train"), (10, "val")):
        put(root, "images", rows_of(LABELS, start))
        rows = [(*row, *(k % 4 for _ in columns)) for k, row in enumerate(rows_of(LABELS, start))]
        table(root / f"{part}.csv", [("image", "label", *columns), *rows])


def test_a_column_of_groups_in_both_tables_is_read_from_both(tmp_path):
    grouped(tmp_path, "plant")
    sides = opened(tmp_path, group="plant").sides
    assert sides.table == "train.csv and val.csv"
    assert (sides.groups["3.jpg"], sides.groups["13.jpg"], len(sides.groups)) == ("3", "3", 14)


def test_a_column_of_groups_that_one_part_lacks_is_refused_with_the_name_of_its_table(tmp_path):
    grouped(tmp_path, "plant")
    table(tmp_path / "val.csv", [("image", "label"), *rows_of(LABELS, 10)])
    told = "val.csv:1: no column is called plant (`group`); the columns are image, label"
    assert refusal(tmp_path, group="plant").endswith(told)


def test_a_column_of_the_split_in_both_tables_is_read_from_both(tmp_path):
    grouped(tmp_path, "fold")
    found = opened(tmp_path, split_column="fold")
    assert sorted(set(found.sides.parts.values())) == ["0", "1", "2", "3"]
    assert len(found.sides.parts) == 14


def test_the_split_column_may_say_the_part_of_each_table(tmp_path):
    one_folder(tmp_path)
    for part in ("train", "val"):
        header, *rows = (tmp_path / f"{part}.csv").read_text().split()
        lines = [f"{header},part", *(f"{row},{part}" for row in rows)]
        (tmp_path / f"{part}.csv").write_text("\n".join(lines))
    parts = opened(tmp_path, split_column="part").sides.parts
    assert (parts["0.jpg"], parts["10.jpg"]) == ("train", "val")


def test_corrected_labels_reach_the_images_of_each_part(tmp_path):
    beside_folders(tmp_path)
    rows = [("val/0", "tungro", "blast", "yes")]
    table(tmp_path / "corrections.csv", [("id", "label", "was", "confirmed"), *rows])
    found = opened(tmp_path, relabel="corrections.csv").labelled.set_index("id")["label"]
    assert (found["train/0"], found["val/0"]) == ("blast", "tungro")


def test_joined_tables_win_against_class_folders_whose_images_they_name_together(tmp_path):
    for part in ("train", "val"):
        rows = [(f"{label}/{k}.jpg", label, k % 2) for k, label in enumerate(LABELS)]
        put(tmp_path, part, rows)
        table(tmp_path / part / "metadata.csv", [("file_name", "label", "plant"), *rows])
    found = opened(tmp_path, group="plant")
    assert found.labels_from.startswith("train/metadata.csv and val/metadata.csv, column label")
    assert len(found.sides.groups) == 14


def test_different_columns_are_refused_with_both_tables_and_the_way_out(tmp_path):
    one_folder(tmp_path)
    table(tmp_path / "val.csv", [("image", "disease"), *rows_of(["blast", "blast", "tungro"], 10)])
    assert refusal(tmp_path) == (
        f"{tmp_path}/train.csv and {tmp_path}/val.csv: give the labels of a part each, but their columns "
        "differ (image, label in train.csv and image, disease in val.csv): name them alike, or name one "
        "table with `labels=FILE`"
    )


def test_a_class_that_one_part_has_no_column_of_is_refused(tmp_path):
    roboflow(tmp_path)
    put(tmp_path, "valid", one_hot(LABELS, 10))
    two = [("filename", *CLASSES[:2]), *(row[:3] for row in one_hot(LABELS, 10))]
    table(tmp_path / "valid/_classes.csv", two)
    assert "their columns differ (filename, blast, healthy, tungro in train/_classes.csv" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("label", "how"), [("healthy", "as blast and as healthy"), ("blast", "with the same label")]
)
def test_an_image_that_both_parts_name_is_refused_with_both_lines(tmp_path, label, how):
    one_folder(tmp_path)
    rows = [("10.jpg", "blast"), ("11.jpg", "blast"), ("0.jpg", label)]
    table(tmp_path / "val.csv", [("image", "label"), *rows])
    assert refusal(tmp_path) == (
        f"{tmp_path}/train.csv:2 and {tmp_path}/val.csv:4: name the image images/0.jpg twice, {how}: keep "
        "one of the rows, or name one table with `labels=FILE`"
    )


def test_a_third_table_is_refused_with_the_names_of_all(tmp_path):
    one_folder(tmp_path)
    table(tmp_path / "labels.csv", [("image", "label"), *rows_of(LABELS[::-1])])
    assert "several tables give labels, labels.csv, train.csv, val.csv: name one" in refusal(tmp_path)


def test_two_versions_of_a_part_are_not_read_together(tmp_path):
    one_folder(tmp_path)
    table(tmp_path / "train_new.csv", [("image", "label"), *rows_of(LABELS)])
    assert "several tables give labels, train.csv, train_new.csv: name one" in refusal(tmp_path)


def test_an_error_in_a_row_names_its_own_table_and_line(tmp_path):
    one_folder(tmp_path)
    table(tmp_path / "val.csv", [("image", "label"), ("10.jpg", "blast"), ("11.jpg", "")])
    assert f"{tmp_path}/val.csv:3: has no label" in refusal(tmp_path)


def test_a_missing_image_of_one_part_is_told_with_its_table(tmp_path):
    beside_folders(tmp_path)
    rows = [*rows_of(CLASSES, suffix=""), ("50", "blast")]
    table(tmp_path / "dev.csv", [("image", "label"), *rows])
    assert f"{tmp_path}/dev.csv: 1 image missing" in refusal(tmp_path)


def test_labels_that_cannot_be_told_from_either_table_are_asked_for(tmp_path):
    one_folder(tmp_path)
    for part, start in (("train", 0), ("val", 10)):
        put(tmp_path, "images", rows_of(LABELS, start))
        rows = [(name, label, k) for k, (name, label) in enumerate(rows_of(LABELS, start))]
        table(tmp_path / f"{part}.csv", [("image", "kind", "weight"), *rows])
    assert "several may hold the labels (kind, weight)" in refusal(tmp_path)
    assert facts(tmp_path, label_column="kind") == (14, list(CLASSES), 3)


def with_groups(root: Path, *parts: str) -> None:
    """Class folders of parts, with a table of groups in each."""
    for part in parts:
        rows = [(f"{label}/{k}.jpg", k % 3) for k, label in enumerate(LABELS)]
        put(root, part, rows)
        table(root / part / "groups.csv", [("image", "plant"), *rows])


def test_tables_of_groups_in_the_parts_of_class_folders_are_read_together(tmp_path):
    with_groups(tmp_path, "train", "val", "test")
    found = opened(tmp_path, group="plant")
    assert found.labels_from == "names of the folders"
    assert found.sides.table == "train/groups.csv and val/groups.csv"
    assert (found.sides.groups["train/blast/3.jpg"], found.sides.groups["val/healthy/4.jpg"]) == ("0", "1")
    assert [kind.examples for kind in found.left_out] == [("test/groups.csv",)]


def test_an_image_in_two_tables_of_groups_is_refused_with_both_lines(tmp_path):
    with_groups(tmp_path, "train", "val")
    with (tmp_path / "val/groups.csv").open("a") as file:
        file.write("train/blast/0.jpg,9\n")
    assert refusal(tmp_path, group="plant") == (
        f"{tmp_path}/train/groups.csv:2 and {tmp_path}/val/groups.csv:9: name the image train/blast/0.jpg "
        "twice: keep one of the rows"
    )


def test_a_part_without_a_table_of_groups_is_told_with_the_images_that_need_rows(tmp_path):
    with_groups(tmp_path, "train", "fold1", "val")
    (tmp_path / "val/groups.csv").unlink()
    told = refusal(tmp_path, group="plant")
    assert "groups.csv: names 14 of 21 labelled images: add a row for each" in told
