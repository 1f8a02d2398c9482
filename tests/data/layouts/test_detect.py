import shutil

import numpy as np
import pytest
from PIL import Image

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.options import ReadOptions
from tune_paddy.data.submission.form import SubmissionFormat


def ids(frame):
    return frame["id"].tolist()


def refusal(path):
    with pytest.raises(InputError) as caught:
        list_dataset(path)
    return str(caught.value)


def replace_in(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def nothing_fits(root):
    message = refusal(root)
    assert "\n" not in message
    for source in ("neither folders nor a table give labels", "(1) folders: ", "(2) tables: "):
        assert source in message
    return message


def left_out(listing):
    """Kind → number of files that were not read."""
    return {kind.what: kind.count for kind in listing.left_out}


# --- detection -----------------------------------------------------------------------------------------


def test_a_missing_folder_is_named(tmp_path):
    assert refusal(tmp_path / "gone") == f"no folder or CSV file {tmp_path}/gone: check the path"


def test_an_empty_folder_fits_no_layout_and_the_error_lists_both_sources(tmp_path):
    assert "(2) tables: there is no .csv or .tsv file" in nothing_fits(tmp_path)


def test_a_table_that_names_no_images_fits_no_layout_and_the_error_says_so(kaggle):
    (kaggle / "train.csv").write_text("brand,kind\na,b\n")
    shutil.rmtree(kaggle / "train_images")
    assert "train.csv: no column of it names images" in nothing_fits(kaggle)


def test_several_tables_of_labels_are_named_and_one_is_asked_for(folders):
    for name in ("a.csv", "b.csv"):
        rows = "".join(f"{('cat', 'dog')[k % 2]}/{k}.png,{'xy'[k % 2]}\n" for k in range(6))
        (folders / name).write_text("path,label\n" + rows)
    assert refusal(folders).endswith("several tables give labels, a.csv, b.csv: name one with `labels=FILE`")
    labelled = list_dataset(folders, ReadOptions(labels="b.csv")).labelled
    assert set(labelled["label"]) == {"x", "y"}


def test_an_archive_must_be_unpacked(tmp_path):
    (tmp_path / "paddy.zip").touch()
    assert refusal(tmp_path / "paddy.zip").endswith(
        "paddy.zip is neither a folder nor a .csv file; unpack an archive first"
    )


def test_a_loop_of_links_is_one_line(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "\n" not in refusal(tmp_path / "loop")


# --- a table and folders, as Kaggle publishes Paddy Doctor ---------------------------------------------


def test_kaggles_layout(kaggle):
    listing = list_dataset(kaggle)
    assert (listing.layout, listing.root) == ("a table of labels", kaggle)
    assert listing.labelled.columns.tolist() == ["id", "path", "label", "variety", "age"]
    first = listing.labelled.iloc[0]
    assert (first["id"], first["label"], first["variety"], first["age"]) == (
        "100330.jpg",
        "blast",
        "ADT45",
        40,
    )
    assert first["path"] == str(kaggle / "train_images" / "blast" / "100330.jpg")
    assert listing.form == SubmissionFormat("image_id", "label")
    assert (listing.notes, listing.left_out) == ((), ())


def test_further_columns_are_numbers_where_they_can_be(kaggle):
    labelled = list_dataset(kaggle).labelled
    assert np.issubdtype(labelled["age"].dtype, np.integer)
    assert labelled["variety"].tolist() == ["ADT45"] * 12


def test_the_table_itself_may_be_named(kaggle):
    assert ids(list_dataset(kaggle / "train.csv").test) == ids(list_dataset(kaggle).test)


def test_a_relative_path_becomes_absolute(kaggle, monkeypatch):
    monkeypatch.chdir(kaggle)
    listing = list_dataset(kaggle.__class__("."))
    assert listing.root == kaggle
    assert listing.labelled["path"].str.startswith("/").all()


def test_the_test_set_has_the_order_of_the_sample_submission(kaggle):
    listing = list_dataset(kaggle)
    assert ids(listing.test) == ["200002.jpg", "200000.jpg", "200001.jpg"]
    assert listing.test["path"].tolist() == [str(kaggle / "test_images" / name) for name in ids(listing.test)]
    assert listing.sample == kaggle / "sample_submission.csv"


def test_without_a_sample_the_test_set_is_sorted(kaggle):
    (kaggle / "sample_submission.csv").unlink()
    listing = list_dataset(kaggle)
    assert ids(listing.test) == ["200000.jpg", "200001.jpg", "200002.jpg"]
    assert listing.sample is None


def test_without_test_images_and_sample_there_is_no_test_set(kaggle):
    (kaggle / "sample_submission.csv").unlink()
    shutil.rmtree(kaggle / "test_images")
    test = list_dataset(kaggle).test
    assert (len(test), test.columns.tolist()) == (0, ["id", "path"])


def test_a_sample_submission_that_does_not_match_the_test_images_names_the_difference(kaggle):
    replace_in(kaggle / "sample_submission.csv", "200001", "299999")
    message = refusal(kaggle)
    assert "sample_submission.csv: 1 image missing" in message
    assert "line 4: 299999.jpg is not there" in message


def test_images_to_predict_that_the_sample_submission_does_not_name_are_left_out(kaggle, save):
    save(kaggle / "test_images" / "extra.jpg", 1)
    listing = list_dataset(kaggle)
    assert left_out(listing) == {"image that sample_submission.csv does not name": 1}
    assert len(listing.test) == 3


def test_a_sample_submission_with_a_duplicate_image_is_refused(kaggle):
    with (kaggle / "sample_submission.csv").open("a") as file:
        file.write("200001.jpg,\n")
    assert "sample_submission.csv:5: duplicate image 200001.jpg, first in line 4" in refusal(kaggle)


def test_labels_without_an_image_are_listed_with_their_lines(kaggle):
    (kaggle / "train_images" / "blast" / "100330.jpg").unlink()
    (kaggle / "train_images" / "hispa" / "100331.jpg").unlink()
    message = refusal(kaggle)
    assert "train.csv: 2 images not in the folder of their label" in message
    assert "line 2: 100330.jpg has label blast and is not there" in message
    assert "line 3: 100331.jpg has label hispa and is not there" in message


def test_an_image_under_another_label_than_the_tables_is_named_with_both(kaggle):
    folder = kaggle / "train_images"
    (folder / "blast" / "100330.jpg").rename(folder / "normal" / "100330.jpg")
    assert "line 2: 100330.jpg has label blast and lies in normal" in refusal(kaggle)


def test_a_long_list_of_missing_images_is_cut(kaggle):
    with (kaggle / "train.csv").open("a") as file:
        file.writelines(f"{number}.jpg,blast,x,1\n" for number in range(1000))
    message = refusal(kaggle)
    assert "1,000 images" in message
    assert message.endswith("and 980 more")
    assert message.count("\n") == 21


def test_images_that_the_table_does_not_name_are_noted(kaggle, save):
    save(kaggle / "train_images" / "blast" / "extra.jpg", 1)
    listing = list_dataset(kaggle)
    assert left_out(listing) == {"image that train.csv does not name": 1}
    assert listing.left_out[0].examples == ("train_images/blast/extra.jpg",)
    assert len(listing.labelled) == 12


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("100330.jpg,hispa,x,1", "train.csv:14: duplicate image 100330.jpg, first in line 2"),
        (",blast,x,1", "train.csv:14: has no image"),
        ("new.jpg,,x,1", "train.csv:14: has no label"),
        ("new.jpg, ,x,1", "train.csv:14: has no label"),
        ("../secret.jpg,blast,x,1", "train.csv:14: ../secret.jpg contains '..'"),
        ("..,blast,x,1", "train.csv:14: .. contains '..'"),
        ("new.jpg,blast", "train.csv:14: has 2 values, expected 4"),
    ],
)
def test_a_bad_line_is_named(kaggle, line, message):
    with (kaggle / "train.csv").open("a") as file:
        file.write(line + "\n")
    assert message in refusal(kaggle / "train.csv")
    assert "\n" not in refusal(kaggle / "train.csv")


@pytest.mark.parametrize("line", ["/etc/gone,blast,x,1", "new.jpg,../blast,x,1", "new\0.jpg,a/b,x,1"])
def test_a_line_whose_image_is_not_there_is_named(kaggle, line):
    with (kaggle / "train.csv").open("a") as file:
        file.write(line + "\n")
    assert "\n  line 14: " in refusal(kaggle / "train.csv")


def test_a_table_whose_label_column_is_not_clear_is_refused_and_the_option_helps(kaggle):
    replace_in(kaggle / "train.csv", "label", "kind")
    (kaggle / "sample_submission.csv").unlink()
    message = refusal(kaggle)
    assert "several may hold the labels (kind, variety, age): name it with `label_column`" in message
    labelled = list_dataset(kaggle, ReadOptions(label_column="Kind")).labelled
    assert set(labelled["label"]) == {"blast", "hispa", "normal"}


def test_an_image_column_of_any_name_is_found_by_its_values(kaggle):
    replace_in(kaggle / "train.csv", "image_id", "shot")
    assert ids(list_dataset(kaggle).labelled)[0] == "100330.jpg"


def test_a_further_column_with_a_reserved_name_is_omitted(kaggle):
    replace_in(kaggle / "train.csv", "variety,age", "id,path_of_old")
    assert list_dataset(kaggle).labelled.columns.tolist() == ["id", "path", "label", "path_of_old"]


# --- a folder per class --------------------------------------------------------------------------------


def test_a_folder_per_class(folders):
    listing = list_dataset(folders)
    assert listing.layout == "a folder per class"
    assert ids(listing.labelled) == [
        "cat/0.png",
        "cat/2.png",
        "cat/4.png",
        "dog/1.png",
        "dog/3.png",
        "dog/5.png",
    ]
    assert listing.labelled["label"].tolist() == ["cat"] * 3 + ["dog"] * 3
    assert len(listing.test) == 0
    assert listing.form == SubmissionFormat()


@pytest.mark.parametrize("name", ["train", "train_images"])
def test_class_folders_may_lie_in_a_train_folder(folders, name):
    (folders / name).mkdir()
    for label in ("cat", "dog"):
        (folders / label).rename(folders / name / label)
    assert ids(list_dataset(folders).labelled)[0] == "cat/0.png"


@pytest.mark.parametrize("name", ["test", "test_images"])
def test_a_test_folder_holds_images_to_predict(folders, save, name):
    save(folders / name / "b.png", 50)
    save(folders / name / "deep" / "a.png", 51)
    listing = list_dataset(folders)
    assert ids(listing.test) == ["b.png", "deep/a.png"]
    assert set(listing.labelled["label"]) == {"cat", "dog"}


def test_a_sample_submission_orders_the_test_folder(folders, save):
    for name in ("a", "b"):
        save(folders / "test" / f"{name}.png", ord(name))
    (folders / "sample_submission.csv").write_text("file,answer\nb.png,\na.png,\n")
    listing = list_dataset(folders)
    assert ids(listing.test) == ["b.png", "a.png"]
    assert listing.form == SubmissionFormat("file", "answer")


def test_images_are_found_at_any_depth_and_hidden_and_other_files_are_ignored(folders, save):
    save(folders / "cat" / "2024" / "x.JPG", 1)
    save(folders / "cat" / ".hidden" / "x.png", 2)
    save(folders / "__MACOSX" / "x.png", 3)
    for name in ("._0.png", "Thumbs.db", "notes.txt"):
        (folders / "cat" / name).touch()
    labelled = list_dataset(folders).labelled
    assert [name for name in ids(labelled) if name.startswith("cat")] == [
        "cat/0.png", "cat/2.png", "cat/2024/x.JPG", "cat/4.png"
    ]  # fmt: skip
    assert set(labelled["label"]) == {"cat", "dog"}


def test_unused_folders_are_noted(folders, save):
    (folders / "mouse").mkdir()
    assert "mouse holds no images and is not used" in list_dataset(folders).notes[0]
    save(folders / "train" / "cat" / "1.png", 1)
    save(folders / "train" / "dog" / "1.png", 2)
    listing = list_dataset(folders)
    assert ids(listing.labelled) == ["cat/1.png", "dog/1.png"]
    assert left_out(listing) == {"image in no class folder": 6}


@pytest.mark.parametrize("name", ["-rf", "with space", "稻 ünï", "two\nlines", 'comma, and "quote"', "'"])
def test_odd_names_of_classes_and_files_work(folders, save, name):
    save(folders / name / f"{name}.png", 9)
    labelled = list_dataset(folders).labelled
    assert f"{name}/{name}.png" in ids(labelled)
    assert name in set(labelled["label"])


def test_a_name_that_is_not_unicode_is_refused_on_one_line(folders):
    (folders / "cat" / "bad\udcff.png").touch()
    assert refusal(folders).endswith(r"bad\udcff.png: its name is not UTF-8: rename it")


def test_a_class_folder_may_be_a_link(folders, tmp_path_factory, save):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    save(elsewhere / "x.png", 1)
    (folders / "linked").symlink_to(elsewhere)
    assert "linked/x.png" in ids(list_dataset(folders).labelled)


# --- a CSV ---------------------------------------------------------------------------------------------


@pytest.fixture
def table(folders):
    """A CSV with relative paths and an absolute one."""
    path = folders / "labels.csv"
    rows = [(f"{('cat', 'dog')[k % 2]}/{k}.png", ("lion", "wolf")[k % 2]) for k in range(5)]
    rows.append((str(folders / "dog" / "5.png"), "wolf"))
    path.write_text("filename,Class,weight\n" + "".join(f"{name},{label},0.5\n" for name, label in rows))
    return path


@pytest.mark.parametrize("named", [True, False], ids=["named", "found in its folder"])
def test_a_csv_of_paths_and_labels(table, named):
    listing = list_dataset(table if named else table.parent)
    assert listing.layout == "a table of labels"
    assert ids(listing.labelled)[::5] == ["cat/0.png", str(table.parent / "dog" / "5.png")]
    assert listing.labelled["path"].tolist()[::5] == [
        str(table.parent / name) for name in ("cat/0.png", "dog/5.png")
    ]
    assert listing.labelled["weight"].tolist() == [0.5] * 6
    assert listing.form == SubmissionFormat("filename", "Class")


@pytest.mark.parametrize("name", ["path", "file", "filename", "image", "image_id", "PATH"])
@pytest.mark.parametrize("label", ["label", "class", "target"])
def test_columns_are_found_by_name(table, name, label):
    replace_in(table, "filename,Class", f"{name},{label}")
    assert list_dataset(table.parent).labelled["label"].tolist() == ["lion", "wolf"] * 3


def test_an_adjacent_test_table_names_images_to_predict(table):
    (table.parent / "test.csv").write_text("filename\ndog/5.png\ndog/3.png\n")
    assert ids(list_dataset(table).test) == ["dog/5.png", "dog/3.png"]


def test_tables_without_labels_are_not_used(table):
    (table.parent / "submission.csv").write_text("image_id,label\nx,cat\n")
    (table.parent / "weather.csv").write_text("day,rain\nMon,2\nTue,2\n")
    listing = list_dataset(table.parent)
    assert len(listing.labelled) == 6
    assert left_out(listing) == {"table (a submission)": 1, "table (no column of it names images)": 1}


def test_a_table_that_mixes_encodings_is_refused_by_name(table):
    with table.open("ab") as file:
        file.write("ü.png".encode() + b"\xff,cat,1\n")
    assert "labels.csv:8: byte 0xff is not UTF-8" in refusal(table.parent)


@pytest.mark.parametrize("name", ["../up.png", "cat/../../up.png"])
def test_a_relative_path_with_parent_folders_is_refused(table, name):
    with table.open("a") as file:
        file.write(f"{name},cat,1\n")
    assert f"labels.csv:8: {name} contains '..'" in refusal(table)


def test_missing_images_are_listed_with_their_lines(table):
    with table.open("a") as file:
        file.write(f"gone.png,cat,1\n{'x' * 5000},dog,1\n/dev/null,dog,1\n")
    message = refusal(table)
    assert f"labels.csv: 3 images missing in {table.parent}" in message
    assert "line 8: gone.png" in message
    assert "line 10: /dev/null" in message


def test_a_csv_without_labels_is_refused_when_it_is_named(table):
    replace_in(table, "Class", "kind")
    assert "labels.csv:1: no column is called label or class or target" in refusal(table)


def test_a_duplicate_image_is_refused(table):
    with table.open("a") as file:
        file.write("dog/1.png,cat,1\n")
    assert "labels.csv:8: duplicate image dog/1.png, first in line 3" in refusal(table)


def test_a_name_with_a_line_break_is_kept(table):
    Image.new("RGB", (4, 4)).save(table.parent / "two\nlines.png")
    with table.open("a") as file:
        file.write('"two\nlines.png",cat,1\n')
    assert ids(list_dataset(table).labelled)[-1] == "two\nlines.png"
