import shutil

import numpy as np
import pytest
from PIL import Image

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.submission import SubmissionFormat


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
    for layout in ("(1) Kaggle's: ", "(2) a folder per class", "(3) a CSV with a column"):
        assert layout in message
    return message


# --- detection -----------------------------------------------------------------------------------------


def test_a_missing_folder_is_named(tmp_path):
    assert refusal(tmp_path / "gone") == f"no folder or CSV file {tmp_path}/gone: check the path"


def test_an_empty_folder_fits_no_layout_and_the_error_lists_them(tmp_path):
    assert "(1) Kaggle's: train.csv and train_images not found" in nothing_fits(tmp_path)


def test_a_table_without_its_images_fits_no_layout(kaggle):
    (kaggle / "train.csv").write_text("name,kind\na,b\n")
    shutil.rmtree(kaggle / "train_images")
    assert "(1) Kaggle's: train_images not found" in nothing_fits(kaggle)


def test_several_tables_fit_no_layout_and_are_named(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("path,label\n")
    assert "there are several, a.csv, b.csv: name one" in nothing_fits(tmp_path)


def test_an_archive_must_be_unpacked(tmp_path):
    (tmp_path / "paddy.zip").touch()
    assert refusal(tmp_path / "paddy.zip").endswith(
        "paddy.zip is neither a folder nor a .csv file; unpack an archive first"
    )


def test_a_loop_of_links_is_one_line(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "\n" not in refusal(tmp_path / "loop")


# --- Kaggle's ------------------------------------------------------------------------------------------


def test_kaggles_layout(kaggle):
    listing = list_dataset(kaggle)
    assert (listing.layout, listing.root) == ("Kaggle's layout", kaggle)
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
    assert listing.notes == ()


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
    assert "lacks 1 image, such as 299999.jpg and has 1 other, such as 200001.jpg" in message
    assert "sample_submission.csv" in message


def test_a_sample_submission_with_a_duplicate_image_is_refused(kaggle):
    with (kaggle / "sample_submission.csv").open("a") as file:
        file.write("200001.jpg,\n")
    assert "names 1 image twice, the first is 200001.jpg" in refusal(kaggle)


def test_labels_without_an_image_are_listed_with_their_lines(kaggle):
    (kaggle / "train_images" / "blast" / "100330.jpg").unlink()
    (kaggle / "train_images" / "hispa" / "100331.jpg").unlink()
    message = refusal(kaggle)
    assert "train.csv: 2 images missing from the folders of their labels" in message
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
    (note,) = list_dataset(kaggle).notes
    assert "1 image in" in note
    assert "such as blast/extra.jpg" in note


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("100330.jpg,hispa,x,1", "train.csv:14: duplicate image 100330.jpg, first in line 2"),
        (",blast,x,1", "train.csv:14: has no image"),
        ("new.jpg,,x,1", "train.csv:14: has no label"),
        ("new.jpg, ,x,1", "train.csv:14: has no label"),
        ("../secret.jpg,blast,x,1", "train.csv:14: image '../secret.jpg' is not a plain name"),
        ("/etc/passwd,blast,x,1", "train.csv:14: image '/etc/passwd' is not a plain name"),
        ("..,blast,x,1", "train.csv:14: image '..' is not a plain name"),
        ("new.jpg,../blast,x,1", "train.csv:14: label '../blast' is not a plain name"),
        ("new.jpg,a/b,x,1", "train.csv:14: label 'a/b' is not a plain name"),
        ("new\0.jpg,blast,x,1", r"train.csv:14: image 'new\x00.jpg' is not a plain name"),
        ("new.jpg,blast", "train.csv:14: has 2 values, expected 4"),
    ],
)
def test_a_bad_line_is_named(kaggle, line, message):
    with (kaggle / "train.csv").open("a") as file:
        file.write(line + "\n")
    assert message in refusal(kaggle)
    assert "\n" not in refusal(kaggle)


@pytest.mark.parametrize(("before", "after"), [("image_id", "name"), ("label", "kind")])
def test_a_table_without_a_required_column_is_refused(kaggle, before, after):
    replace_in(kaggle / "train.csv", before, after)
    assert "train.csv:1: no column is called" in refusal(kaggle)


def test_a_table_in_another_encoding_is_refused(kaggle):
    (kaggle / "train.csv").write_bytes("image_id,label\nä.jpg,blast\n".encode("latin-1"))
    assert "train.csv:2: byte 0xe4 is not UTF-8" in refusal(kaggle)


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
    notes = list_dataset(folders).notes
    assert [note.split(" is not used")[0].rsplit("/")[-1] for note in notes] == ["cat", "dog", "mouse"]


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
    rows = [("cat/0.png", "cat"), ("dog/1.png", "dog"), (str(folders / "cat" / "2.png"), "cat")]
    path.write_text("filename,Class,weight\n" + "".join(f"{name},{label},0.5\n" for name, label in rows))
    return path


@pytest.mark.parametrize("named", [True, False], ids=["named", "found in its folder"])
def test_a_csv_of_paths_and_labels(table, named):
    listing = list_dataset(table if named else table.parent)
    assert listing.layout == "a CSV of paths and labels"
    assert ids(listing.labelled) == ["cat/0.png", "dog/1.png", str(table.parent / "cat" / "2.png")]
    assert listing.labelled["path"].tolist() == [
        str(table.parent / name) for name in ("cat/0.png", "dog/1.png", "cat/2.png")
    ]
    assert listing.labelled["weight"].tolist() == [0.5] * 3
    assert listing.form == SubmissionFormat("filename", "Class")


@pytest.mark.parametrize("name", ["path", "file", "filename", "image", "image_id", "PATH"])
@pytest.mark.parametrize("label", ["label", "class", "target"])
def test_columns_are_found_by_name(table, name, label):
    replace_in(table, "filename,Class", f"{name},{label}")
    assert list_dataset(table.parent).labelled["label"].tolist() == ["cat", "dog", "cat"]


def test_an_adjacent_test_table_names_images_to_predict(table):
    (table.parent / "test.csv").write_text("filename\ndog/5.png\ndog/3.png\n")
    assert ids(list_dataset(table).test) == ["dog/5.png", "dog/3.png"]


def test_tables_without_labels_are_not_used(table):
    for name in ("sample_submission.csv", "submission.csv", "test_labels.csv"):
        (table.parent / name).write_text("image_id,label\n")
    (table.parent / "sizes.csv").write_text("file,width\n")
    (table.parent / "sample_submission.csv").unlink()
    assert len(list_dataset(table.parent).labelled) == 3


def test_a_table_that_is_not_utf_8_is_refused_by_name(table):
    with table.open("ab") as file:
        file.write(b"\xff,cat,1\n")
    assert "labels.csv:5: byte 0xff is not UTF-8" in refusal(table.parent)


@pytest.mark.parametrize("name", ["../up.png", "cat/../../up.png"])
def test_a_relative_path_with_parent_folders_is_refused(table, name):
    with table.open("a") as file:
        file.write(f"{name},cat,1\n")
    assert f"labels.csv:5: {name} contains '..'" in refusal(table)


def test_missing_images_are_listed_with_their_lines(table):
    with table.open("a") as file:
        file.write(f"gone.png,cat,1\n{'x' * 5000},dog,1\n/dev/null,dog,1\n")
    message = refusal(table)
    assert f"3 images missing, the first is expected at {table.parent}/gone.png" in message
    assert "line 5: gone.png" in message
    assert "line 7: /dev/null" in message


def test_a_csv_without_labels_is_refused_when_it_is_named(table):
    replace_in(table, "Class", "kind")
    assert "labels.csv:1: no column is called label or class or target" in refusal(table)


def test_a_duplicate_image_is_refused(table):
    with table.open("a") as file:
        file.write("dog/1.png,cat,1\n")
    assert "labels.csv:5: duplicate image dog/1.png, first in line 3" in refusal(table)


def test_a_name_with_a_line_break_is_kept(table):
    Image.new("RGB", (4, 4)).save(table.parent / "two\nlines.png")
    with table.open("a") as file:
        file.write('"two\nlines.png",cat,1\n')
    assert ids(list_dataset(table).labelled)[-1] == "two\nlines.png"
