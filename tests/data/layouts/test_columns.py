"""Columns of tables: usual names in any spelling, and columns that divide the images."""

import pytest

from tests.data.layouts.made import CLASSES, facts, left_out, make, refusal, table

ROWS = [(f"{k}.jpg", CLASSES[k % 3], k / 8) for k in range(12)]


@pytest.fixture
def root(tmp_path):
    make(tmp_path, *(f"photos/{name}" for name, *_ in ROWS))
    return tmp_path


@pytest.mark.parametrize("label", ["ClassId", "Class Label", "class-name", "TARGET", "Label_ID"])
def test_usual_names_of_columns_count_in_any_spelling(root, label):
    table(root / "train.csv", [("Image Name", label, "weight"), *ROWS])
    assert facts(root) == (12, list(CLASSES), 0)


def test_a_person_may_spell_a_column_otherwise(root):
    table(root / "train.csv", [("Image Name", "leaf_state", "weight"), *ROWS])
    assert facts(root, label_column="Leaf State") == (12, list(CLASSES), 0)


@pytest.mark.parametrize(
    ("column", "values"), [("partition", (0, 1, 2)), ("Usage", ("Training", "PublicTest")), ("fold", (0, 1))]
)
def test_a_table_that_only_divides_the_images_holds_no_labels(tmp_path, column, values):
    names = [f"{label}/{k}.jpg" for label in CLASSES for k in range(4)]
    make(tmp_path, *names)
    rows = [(name, values[k % len(values)]) for k, name in enumerate(names)]
    table(tmp_path / "parts.csv", [("image", column), *rows])
    assert facts(tmp_path) == (12, list(CLASSES), 0)
    assert left_out(tmp_path) == {f"table (its column {column} divides the images)": 1}
    assert f"column {column} divides the images" in refusal(tmp_path, labels="parts.csv")


def test_a_table_that_divides_the_images_does_not_hide_one_that_is_not_understood(root):
    table(
        root / "partition.csv",
        [("image", "partition"), *((name, k % 3) for k, (name, *_) in enumerate(ROWS))],
    )
    flags = [(name, (1, -1)[k % 2], (1, -1)[k // 2 % 2]) for k, (name, *_) in enumerate(ROWS)]
    table(root / "attributes.csv", [("image", "smiling", "young"), *flags])
    assert "several may hold the labels (smiling, young)" in refusal(root)
    assert facts(root, labels="attributes.csv", label_column="young") == (12, ["-1", "1"], 0)


def test_a_column_of_folds_is_not_one_of_several_that_may_hold_the_labels(root):
    table(
        root / "train.csv",
        [("image", "state", "fold"), *((n, label, k % 5) for k, (n, label, _) in enumerate(ROWS))],
    )
    assert facts(root) == (12, list(CLASSES), 0)


@pytest.mark.parametrize("option", ["label_column", "id_column"])
def test_a_column_is_refused_where_no_table_is_read(tmp_path, option):
    make(tmp_path, *(f"{label}/{k}.jpg" for label in CLASSES for k in range(2)))
    assert f"`{option}` names a column of a table, but the labels are the names of the folders" in refusal(
        tmp_path, **{option: "species"}
    )


def test_a_table_of_images_alone_holds_no_labels(tmp_path):
    names = [f"{label}/{k}.jpg" for label in CLASSES for k in range(2)]
    make(tmp_path, *names)
    table(tmp_path / "reviewed.csv", [("image",), *((name,) for name in names)])
    assert facts(tmp_path) == (6, list(CLASSES), 0)
    assert left_out(tmp_path) == {"table (it has no column but that of the images)": 1}


def test_a_sample_whose_first_column_does_not_name_the_images_is_refused(root):
    make(root, *(f"test/t{k}.jpg" for k in range(3)))
    table(root / "train.csv", [("image", "label"), *(row[:2] for row in ROWS)])
    table(root / "sample_submission.csv", [("Category", "Id"), *(("blast", f"t{k}.jpg") for k in range(3))])
    assert "column Id names the images, but is not the first one: move it to the front" in refusal(root)


def test_the_words_of_a_sample_tell_the_column_of_the_labels(root):
    """The column with the usual name, species, is not the one that the sample is about."""
    make(root, *(f"test/t{k}.jpg" for k in range(3)))
    rows = [(name, ("whale", "dolphin")[k % 2], f"w_{k % 3}") for k, (name, *_) in enumerate(ROWS)]
    table(root / "train.csv", [("image", "species", "individual"), *rows])
    table(
        root / "sample_submission.csv",
        [("image", "predictions"), *((f"t{k}.jpg", "w_2 w_0") for k in range(3))],
    )
    assert facts(root) == (12, ["w_0", "w_1", "w_2"], 3)
    table(root / "sample_submission.csv", [("image", "predictions"), *((f"t{k}.jpg", "0") for k in range(3))])
    assert facts(root) == (12, ["dolphin", "whale"], 3)


@pytest.mark.parametrize(("column", "values"), [("is_valid", "01"), ("vehicle", ("train", "test"))])
def test_a_column_that_seems_to_divide_the_images_holds_labels_where_a_person_says_so(root, column, values):
    table(root / "a.csv", [("image", column), *((name, values[k % 2]) for k, (name, *_) in enumerate(ROWS))])
    told = refusal(root)
    assert f"a.csv: its column {column} divides the images" in told
    assert told.endswith("or name the columns of one with `id_column` and `label_column`")
    assert facts(root, label_column=column) == (12, sorted(values), 0)


def test_where_several_tables_contradict_class_folders_these_may_be_read_instead(tmp_path):
    names = [f"{label}/{k}.jpg" for label in CLASSES for k in range(4)]
    make(tmp_path, *names)
    for name, of in (("a", names[::2]), ("b", names[1::2])):
        rows = [(file, CLASSES.index(file.split("/")[0])) for file in of]
        table(tmp_path / f"{name}.csv", [("file", "label"), *rows])
    told = refusal(tmp_path)
    assert "several tables give labels, a.csv, b.csv: name one" in told
    assert told.endswith("or give `labels=folders` to read the names of the folders")
    assert facts(tmp_path, labels="folders") == (12, list(CLASSES), 0)
