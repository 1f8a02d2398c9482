"""Datasets as people have them: forms of competitions, split folders, tables; images are empty files."""

import pytest

from tests.data.layouts.made import CLASSES, facts, make, refusal, table
from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.options import ReadOptions
from tune_paddy.data.submission.form import SubmissionFormat

# --- parts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"), ("Train", "Test"), ("TRAIN", "TEST"), ("trn", "tst"), ("train_set", "test1"),
        ("seg_train/seg_train", "seg_test/seg_test"), ("images/train", "images/test"),
        ("train/train", "test/test"), ("archive/trainImages", "archive/testImages"),
        ("asl_train", "asl_test"), ("train/images", "test/images"), ("Treino", "Teste"), ("训练集", "测试集"),
        ("entrenamiento", "prueba"),
    ],
)  # fmt: skip
def test_parts_are_found_by_the_meaning_of_their_names(tmp_path, train, test):
    make(tmp_path, *(f"{train if k < 30 else test}/{CLASSES[k % 3]}/{k}.jpg" for k in range(39)))
    assert facts(tmp_path) == (30, list(CLASSES), 9)
    assert list_dataset(tmp_path).labelled["id"][0] == "blast/0.jpg"


def test_a_flat_training_part_without_labels_is_refused(tmp_path):
    make(tmp_path, *(f"train/{k:03d}.jpg" for k in range(12)), "test1/1.jpg")
    assert "train: 12 images lie in no folder of a class, and no table gives their labels" in refusal(
        tmp_path
    )


def test_a_validation_part_is_labelled_and_the_listing_says_so(tmp_path):
    make(
        tmp_path, *(f"{part}/{label}/{part}.jpg" for part in ("train", "valid", "test") for label in CLASSES)
    )
    assert facts(tmp_path) == (6, list(CLASSES), 3)
    notes = " ".join(list_dataset(tmp_path).notes)
    assert "valid: read as labelled images" in notes
    assert "test: its images are to be predicted" in notes


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (("tr", "te", "va"), CLASSES),
        (("Trainingsdaten", "Testdaten"), CLASSES),
        (("site_a", "site_b"), CLASSES),
        (("color", "grayscale", "segmented"), CLASSES),
        (("8863", "9012", "9077"), ("0", "1")),
        (("2023", "2024"), CLASSES),
    ],
)
def test_folders_with_folders_of_the_same_names_are_asked_about(tmp_path, outer, inner):
    """Parts, sites or patients are not taken for the classes, also if a class is missing in one of them."""
    names = [f"{a}/{b}/{k}.jpg" for a in outer for b in inner for k in range(2)]
    make(tmp_path, *names[:-2])
    message = refusal(tmp_path)
    assert f"or the folders of the same names in them ({', '.join(inner[:2])}" in message
    assert facts(tmp_path, images=".") == (len(names) - 2, sorted(outer), 0)
    assert facts(tmp_path, images=outer[0]) == (2 * len(inner), sorted(inner), 0)


@pytest.mark.parametrize("inner", [("day1", "day2"), ("2023", "2024"), ("2023-05-01", "2023-06-01"), ("x",)])
def test_folders_that_only_count_something_lie_in_their_class(tmp_path, inner):
    make(tmp_path, *(f"{label}/{folder}/1.jpg" for label in CLASSES for folder in (*inner, f"{label} only")))
    assert facts(tmp_path)[1] == list(CLASSES)


def test_folders_in_all_class_folders_are_noted(tmp_path):
    make(tmp_path, *(f"{name}/1.jpg" for name in ("fruit/apple", "fruit/pear", "leaf/kale", "leaf/leek")))
    (note,) = list_dataset(tmp_path).notes
    assert "names of folders in them (apple, kale, leek, …) are not used as labels" in note
    make(tmp_path, "leaf/1.jpg")
    (note,) = list_dataset(tmp_path).notes
    assert note == "fruit is one class; names of folders in it (apple, pear) are not used as labels"


def test_several_datasets_are_refused(tmp_path):
    make(tmp_path, *(f"{a}/{b}/{c}/1.jpg" for a in "xy" for b in ("train", "test") for c in CLASSES))
    assert "several folders are divided into parts of a dataset, such as x/train" in refusal(tmp_path)


@pytest.mark.parametrize("folder", ["leaves", "New Diseases (Augmented)/New Diseases (Augmented)/train"])
def test_a_test_part_may_lie_beside_the_folder_of_the_dataset(tmp_path, folder):
    make(tmp_path, *(f"{folder}/{label}/{k}.jpg" for label in CLASSES for k in range(2)), "test/test/9.jpg")
    listing = list_dataset(tmp_path)
    assert facts(tmp_path) == (6, list(CLASSES), 1)
    assert listing.place == folder
    assert listing.test["id"].tolist() == ["9.jpg"]


def test_a_dataset_of_one_class_says_why_its_tables_give_no_labels(tmp_path):
    make(tmp_path, *(f"pictures/{k}.jpg" for k in range(4)))
    table(tmp_path / "weights.csv", [("image", "weight"), *((f"{k}.jpg", 1.5 + k) for k in range(4))])
    message = refusal(tmp_path)
    assert "all images lie in one folder, pictures" in message
    assert "weights.csv: each row has another label" in message


def test_a_folder_named_like_images_to_predict_alone_is_read_if_a_person_says_so(tmp_path):
    make(tmp_path, *(f"test/{label}/1.jpg" for label in CLASSES))
    assert "those in test are to be predicted; if they are labelled, give `images=test`" in refusal(tmp_path)
    assert facts(tmp_path, images="test") == (3, list(CLASSES), 0)


def test_a_sample_of_labelled_images_is_refused_as_that(tmp_path):
    make(tmp_path, *(f"images/{k}.jpg" for k in range(6)))
    table(tmp_path / "labels.csv", [("image", "label"), *((f"{k}.jpg", CLASSES[k % 3]) for k in range(6))])
    table(tmp_path / "sample_submission.csv", [("image", "label"), ("4.jpg", "blast"), ("5.jpg", "blast")])
    assert "its 2 images are all labelled ones, such as images/4.jpg" in refusal(tmp_path)


def test_folders_of_folds_are_read_together(tmp_path):
    make(tmp_path, *(f"fold{fold}/{label}/{fold}.jpg" for fold in (1, 2, 3) for label in CLASSES))
    assert facts(tmp_path) == (9, list(CLASSES), 0)


@pytest.mark.parametrize("names", [("bus", "car", "train"), ("valid", "invalid"), ("a", "b", "fold1")])
def test_a_class_is_named_like_a_part_only_if_a_person_says_so(tmp_path, names):
    make(tmp_path, *(f"{name}/{k}.jpg" for name in names for k in range(3)))
    assert "may be a part of the dataset or a class" in refusal(tmp_path)
    assert facts(tmp_path, images=".") == (3 * len(names), sorted(names), 0)


def test_parts_within_classes_stay_in_their_class_and_the_listing_says_so(tmp_path):
    make(tmp_path, *(f"{name}/{part}/1.jpg" for name in ("cat", "dog") for part in ("train", "test")))
    assert facts(tmp_path) == (4, ["cat", "dog"], 0)
    assert "cat/test: read as images of class cat" in list_dataset(tmp_path).notes[0]


def test_a_dataset_beside_another_folder_is_refused(tmp_path):
    make(tmp_path, *(f"data/train/{label}/1.jpg" for label in CLASSES), "examples/1.jpg")
    assert "give the folder of the dataset" in refusal(tmp_path)


# --- competitions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "suffix", "tables", "columns"),
    [
        (
            ("train_images", "test_images"),
            ".jpg",
            ("train.csv", "sample_submission.csv"),
            ("image_id", "label"),
        ),
        (
            ("train_images", "test_images"),
            "",
            ("train.csv", "sample_submission.csv"),
            ("id_code", "diagnosis"),
        ),
        (("train", "test"), "", ("train_labels.csv", "sample_submission.csv"), ("id", "label")),
        (("train", "test"), "", ("trainLabels.csv", "sampleSubmission.csv"), ("image", "level")),
        (("train/train", "test/test"), ".jpg", ("train.csv", "sample_submission.csv"), ("id", "has_cactus")),
        (("images", "images"), "", ("train.csv", "sample_submission.csv"), ("id", "species")),
        (("jpeg/train", "jpeg/test"), "", ("train.csv", "sample_submission.csv"), ("image_name", "target")),
    ],
    ids=["cassava", "aptos", "histopathologic", "retinopathy", "cactus", "leaf", "isic"],
)
def test_a_competition_with_a_table_is_understood(tmp_path, parts, suffix, tables, columns):
    (train, test), (table_name, sample_name) = parts, tables
    make(
        tmp_path,
        *(f"{train}/{k}.jpg" for k in range(100, 130)),
        *(f"{test}/{k}.jpg" for k in range(130, 133)),
    )
    rows = [(f"{k}{suffix}", k % 3, k) for k in range(100, 130)]
    table(tmp_path / table_name, [(*columns, "noise"), *rows])
    table(tmp_path / sample_name, [columns, *((f"{k}{suffix}", 0) for k in (132, 130, 131))])
    listing = list_dataset(tmp_path)
    assert facts(tmp_path) == (30, ["0", "1", "2"], 3)
    assert listing.test["id"].tolist() == [f"{k}{suffix}" for k in (132, 130, 131)]
    assert listing.test["path"][0].endswith(f"{test}/132.jpg")
    assert listing.form == SubmissionFormat(*columns)
    assert listing.left_out == ()


def test_equal_ids_of_both_parts_mean_the_images_of_their_part(tmp_path):
    make(tmp_path, *(f"train/{k}.jpg" for k in range(6)), *(f"test/{k}.jpg" for k in range(4)))
    table(tmp_path / "train.csv", [("id", "label"), *((k, "ab"[k % 2]) for k in range(6))])
    table(tmp_path / "sample_submission.csv", [("id", "label"), *((k, "a") for k in range(4))])
    listing = list_dataset(tmp_path)
    assert listing.labelled["path"][0] == str(tmp_path / "train" / "0.jpg")
    assert listing.test["path"][0] == str(tmp_path / "test" / "0.jpg")


@pytest.mark.parametrize("in_folders", [True, False], ids=["state farm", "dog breeds"])
def test_a_sample_with_a_column_per_class_tells_the_label_column(tmp_path, in_folders):
    names = [f"imgs/train/{f'c{k % 3}/' if in_folders else ''}i{k}.jpg" for k in range(30)]
    make(tmp_path, *names, "imgs/test/t0.jpg")
    rows = [(f"p{k // 4}", f"c{k % 3}", f"i{k}.jpg") for k in range(30)]
    table(tmp_path / "driver_list.csv", [("subject", "what", "img"), *rows])
    table(tmp_path / "sample_submission.csv", [("img", "c0", "c1", "c2"), ("t0.jpg", 0.3, 0.3, 0.4)])
    assert facts(tmp_path) == (30, ["c0", "c1", "c2"], 1)
    assert list_dataset(tmp_path).form.columns == ("c0", "c1", "c2")


def test_columns_of_0_and_1_are_classes(tmp_path):
    make(tmp_path, *(f"images/Train_{k}.jpg" for k in range(12)), "images/Test_0.jpg")
    rows = [(f"Train_{k}", *(int(k % 4 == c) for c in range(4))) for k in range(12)]
    table(tmp_path / "train.csv", [("image_id", "healthy", "both", "rust", "scab"), *rows])
    table(
        tmp_path / "sample_submission.csv",
        [("image_id", "healthy", "both", "rust", "scab"), ("Test_0", *4 * (0.25,))],
    )
    assert facts(tmp_path) == (12, ["both", "healthy", "rust", "scab"], 1)


@pytest.mark.parametrize("words", [("False", "True"), ("no", "yes"), ("0.0", "1.0"), ("FALSE", "TRUE")])
def test_columns_of_words_for_0_and_1_are_classes(tmp_path, words):
    """Such as pandas and spreadsheets write them."""
    make(tmp_path, *(f"images/{k}.jpg" for k in range(12)))
    rows = [(f"{k}.jpg", *(words[k % 3 == c] for c in range(3)), words[k % 2]) for k in range(12)]
    table(tmp_path / "train.csv", [("image", *CLASSES, "is_valid"), *rows])
    assert facts(tmp_path) == (12, list(CLASSES), 0)


def test_several_labels_in_columns_of_0_and_1_are_refused_where_an_image_has_one_class(tmp_path):
    make(tmp_path, *(f"images/{k}.jpg" for k in range(4)))
    table(tmp_path / "train.csv", [("image", "a", "b"), *((k, 1, int(k == 2)) for k in range(4))])
    message = refusal(tmp_path, task="classes")
    assert "train.csv:4: has 2 labels (a, b) in 2 columns of 0 and 1" in message
    assert "`task=multilabel`" in message
    assert list_dataset(tmp_path).labelled["label"].tolist() == ["a", "a", "a|b", "a"]


def test_columns_of_0_and_1_are_chosen_by_their_names(tmp_path):
    make(tmp_path, *(f"images/{k}.jpg" for k in range(6)))
    rows = [(k, k % 2, int(k % 3 == 0), int(k > 4)) for k in range(6)]
    table(tmp_path / "train.csv", [("image", "Scab", "rust", "flipped"), *rows])
    assert facts(tmp_path, label_column="scab, rust") == (6, ["", "Scab", "Scab|rust", "rust"], 0)
    assert "no column is called gone (`label_column`)" in refusal(tmp_path, label_column="scab,gone")


def flags(tmp_path, columns, *rows):
    """Write images, and a table of columns of 0 and 1 that repeats the rows."""
    make(tmp_path, *(f"images/{k}.jpg" for k in range(12)))
    table(tmp_path / "train.csv", [("image", *columns), *((k, *rows[k % len(rows)]) for k in range(12))])


@pytest.mark.parametrize("name", ["is_valid", "isTrain", "fold", "split"])
def test_a_column_of_0_and_1_that_divides_the_images_is_no_class(tmp_path, name):
    flags(tmp_path, ("cat", "dog", name), (1, 0, 0), (0, 1, 1))
    assert facts(tmp_path) == (12, ["cat", "dog"], 0)
    flags(tmp_path, ("state", name), (1, 0), (0, 1), (1, 1))
    assert facts(tmp_path) == (12, ["0", "1"], 0)


def test_a_class_may_be_named_like_a_part_where_each_row_has_one_class(tmp_path):
    flags(tmp_path, ("bus", "car", "train"), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert facts(tmp_path) == (12, ["bus", "car", "train"], 0)


def test_a_column_without_a_1_is_noted_and_explains_why_the_sample_does_not_fit(tmp_path):
    flags(tmp_path, ("a", "b", "c"), (1, 0, 0), (0, 1, 0), (1, 1, 0))
    assert "train.csv: 1 column without a 1 (c): no class" in " ".join(list_dataset(tmp_path).notes)
    make(tmp_path, "test/t.jpg")
    table(tmp_path / "sample_submission.csv", [("image", "a", "b", "C"), ("t", 0.1, 0.2, 0.3)])
    assert "1 column that is no class (C), since no labelled image has C" in refusal(tmp_path)


def test_grades_with_unequal_steps_are_noted(tmp_path):
    make(tmp_path, *(f"{grade}/{k}{grade}.jpg" for grade in (0, 1, 4, 10) for k in range(2)))
    (note,) = list_dataset(tmp_path, ReadOptions(task="ordered")).notes
    assert "grades 0, 1, 4, 10: the steps between them are unequal" in note
    assert list_dataset(tmp_path).notes == ()


@pytest.mark.parametrize(
    ("columns", "rows", "odd"),
    [
        (("cat", "dog", "male"), ((1, 0, 0), (0, 1, 1), (0, 1, 0)), "male"),
        (("cat", "dog", "eel", "train"), ((1, 1, 0, 0), (0, 1, 1, 1), (0, 0, 1, 0)), "train"),
        (("disease", "flipped"), ((1, 0), (1, 1), (0, 0)), "disease"),
    ],
    ids=["one flag more", "a part", "a usual name"],
)
def test_a_column_of_0_and_1_that_may_be_no_label_is_asked_for(tmp_path, columns, rows, odd):
    flags(tmp_path, columns, *rows)
    assert f"column {odd} of 0 and 1 may be one of the labels" in refusal(tmp_path)
    assert list_dataset(tmp_path, ReadOptions(task="multilabel")).task.independent
    assert facts(tmp_path, label_column=columns[0])[1] == ["0", "1"]


def test_the_refusal_of_a_table_names_the_options_that_answer_it(tmp_path):
    flags(tmp_path, ("cat", "dog", "male"), (1, 0, 0), (0, 1, 1))
    with pytest.raises(InputError) as told:
        list_dataset(tmp_path)
    assert {"task", "label_column"} <= set(told.value.options)


def test_a_class_with_a_usual_name_of_the_label_column_does_not_hide_the_others(tmp_path):
    flags(tmp_path, ("disease", "pest", "healthy"), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1))
    listing = list_dataset(tmp_path)
    assert set(listing.labelled["label"]) == {"disease", "pest", "disease|pest", "healthy"}
    flags(tmp_path, ("target", "male"), (1, 0), (0, 0), (1, 1))
    assert facts(tmp_path) == (12, ["0", "1"], 0)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("cat.0.jpg", "cat.1.jpg", "cat.2.jpg", "dog.0.jpg", "dog.1.jpg", "dog.2.jpg"), ["cat", "dog"]),
        (("a b (1).png", "a b (2).png", "a b (3).png", "c-1.png", "c-2.png", "c_3.png"), ["a b", "c"]),
    ],
)
@pytest.mark.parametrize(
    "folder", ["train", "train/train", "images", "."], ids=["part", "doubled", "only", "flat"]
)
def test_labels_in_the_names_of_all_files_are_read(tmp_path, folder, names, labels):
    make(tmp_path, *(f"{folder}/{name}" for name in names), *(["test/7.jpg"] if folder != "images" else []))
    assert facts(tmp_path) == (6, labels, int(folder != "images"))
    listing = list_dataset(tmp_path)
    assert listing.layout == "labels in file names"
    assert f"beginnings of the file names, such as {labels[0]}" in listing.labels_from


@pytest.mark.parametrize(
    "names",
    [
        ("cat.0.jpg", "cat.1.jpg", "cat.2.jpg", "dog.0.jpg", "dog.1.jpg", "dog.jpg"),
        ("cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"),
        ("img_1.jpg", "img_2.jpg", "img_3.jpg", "cat_1.jpg", "cat_2.jpg", "cat_3.jpg"),
        ("cat.0.jpg", "cat.1.jpg", "cat.2.jpg", "cat.3.jpg", "cat.4.jpg", "cat.5.jpg"),
        ("2024-01.jpg", "2024-02.jpg", "2024-03.jpg", "2025-01.jpg", "2025-02.jpg", "2025-03.jpg"),
    ],
    ids=["one without a number", "few images", "a camera's name", "one label", "dates"],
)
def test_names_that_need_not_be_labels_are_not_read_as_such(tmp_path, names):
    make(tmp_path, *(f"train/{name}" for name in names), "test/7.jpg")
    assert "no table gives their labels" in refusal(tmp_path)


def test_a_table_of_labels_comes_before_the_names_of_files(tmp_path):
    names = [f"{('cat', 'dog')[k % 2]}.{k}.jpg" for k in range(12)]
    make(tmp_path, *(f"train/{name}" for name in names))
    table(
        tmp_path / "train.csv", [("file", "label"), *((name, "ab"[k // 6]) for k, name in enumerate(names))]
    )
    assert facts(tmp_path) == (12, ["a", "b"], 0)


# --- tables --------------------------------------------------------------------------------------------


@pytest.fixture
def cameras(tmp_path):
    """Images in two folders that are not the classes."""
    names = [f"camera_{'ab'[k // 6]}/{k:04d}.jpg" for k in range(12)]
    make(tmp_path, *names)
    return tmp_path, [(name, CLASSES[k % 3]) for k, name in enumerate(names)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_separator_and_encoding_are_detected(cameras, separator, encoding):
    root, rows = cameras
    table(root / "labels.csv", [("path", "label", "né"), *((*row, "é") for row in rows)], separator, encoding)
    assert facts(root) == (12, list(CLASSES), 0)
    assert list_dataset(root).labelled["né"].tolist() == ["é"] * 12


def test_blanks_around_labels_make_no_further_classes(cameras):
    root, rows = cameras
    spaced = [(name, f" {label} " if k % 2 else label) for k, (name, label) in enumerate(rows)]
    table(root / "labels.csv", [("path", "label"), *spaced])
    assert facts(root) == (12, list(CLASSES), 0)
    spelt = [(name, label.upper() if k % 2 else label) for k, (name, label) in enumerate(rows)]
    table(root / "labels.csv", [("path", "label"), *spelt])
    (note,) = list_dataset(root).notes
    assert note.startswith("classes that differ in spelling only: BLAST and blast; ")


@pytest.mark.parametrize(
    ("name", "values", "noted"),
    [
        ("split", ("train", "valid", "test"), "column split (test 4, train 4, valid 4) divides the images"),
        ("data set", ("train", "val"), "column data set (train 6, val 6) divides the images"),
        ("fold", ("0", "1", "2", "3"), "column fold (0 3, 1 3, 2 3, …) divides the images"),
        ("is_valid", ("True", "False"), "column is_valid (False 6, True 6) divides the images"),
        ("place", ("train", "bus"), ""),
        ("plant", ("1", "2"), ""),
        ("split", ("train",), ""),
    ],
)
def test_a_column_that_divides_the_images_and_is_not_used_is_noted(cameras, name, values, noted):
    root, rows = cameras
    more = [(*row, values[k % len(values)]) for k, row in enumerate(rows)]
    table(root / "labels.csv", [("path", "label", name), *more])
    notes = list_dataset(root).notes
    assert len(notes) == bool(noted)
    assert all(noted in note for note in notes)


def test_several_tables_are_asked_for_by_name(cameras):
    root, rows = cameras
    table(root / "first.csv", [("image", "label"), *rows[:6]])
    table(root / "second.csv", [("image", "label"), *rows[6:]])
    assert "first.csv, second.csv: name one with `labels=FILE`" in refusal(root)
    assert facts(root, labels="first.csv") == (6, list(CLASSES), 0)
    listing = list_dataset(root, ReadOptions(labels="first.csv"))
    assert [(kind.what, kind.count) for kind in listing.left_out] == [
        ("image that first.csv does not name", 6),
        ("table (not asked for)", 1),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("photo,kind,who\n{rows}", "several may hold the labels (kind, who): name it with `label_column`"),
        ("file,label,x\ngone.jpg,a,1\nlost.jpg,a,2\n", "2 images missing"),
        ("file,label\na,b,c\n", "labels.csv:2: has 3 values, expected 2"),
        ("photo,age\n{pairs}", "names 12 of 12 images in the folders camera_a, camera_b, with other labels"),
    ],
    ids=["unclear column", "missing images", "ragged", "unusual column"],
)
def test_a_table_that_is_not_understood_is_never_passed_over(cameras, content, reason):
    root, rows = cameras
    lines = "".join(f"{name},{label},me\n" for name, label in rows)
    pairs = "".join(f"{name},{label}\n" for name, label in rows)
    (root / "labels.csv").write_text(content.format(rows=lines, pairs=pairs))
    message = refusal(root)
    assert reason in message
    assert "`labels=folders` to read the names of the folders" in message
    assert facts(root, labels="folders") == (12, ["camera_a", "camera_b"], 0)


@pytest.mark.parametrize("separator", [" ", ":", "  "])
@pytest.mark.parametrize("name", ["labels.csv", "labels.txt", "meta/train.txt"])
def test_a_table_with_another_separator_is_never_passed_over(cameras, separator, name):
    root, rows = cameras
    (root / name).parent.mkdir(exist_ok=True)
    header = [("image", "label")] if name.endswith("csv") else []
    table(root / name, [*header, *rows], separator)
    message = refusal(root)
    assert "its lines name images, but its columns are not told apart: separate them by commas" in message
    assert facts(root, labels="folders") == (12, ["camera_a", "camera_b"], 0)
    if header:
        assert "columns are not told apart" in refusal(root, labels=name)


@pytest.mark.parametrize("place", ["annotations", "annotations/v1", "data/meta/2023"])
def test_a_table_beside_the_folder_of_the_images_is_read(tmp_path, place):
    base = "data/" if place.startswith("data") else ""
    rows = [(f"camera_{'ab'[k % 2]}/{k}.jpg", CLASSES[k % 3]) for k in range(12)]
    make(tmp_path, *(f"{base}images/{name}" for name, _ in rows))
    table(tmp_path / place / "labels.csv", [("image", "label"), *rows])
    assert facts(tmp_path) == (12, list(CLASSES), 0)
    table(tmp_path / place / "more.csv", [("image", "label"), *rows])
    assert f"{place}/labels.csv, {place}/more.csv: name one with" in refusal(tmp_path)


@pytest.mark.parametrize(
    "line", ["{label}/{k}.jpg {label}", "{label}/{k}.jpg {number}", "{number} x {label}/{k}.jpg"]
)
def test_a_text_that_agrees_with_the_class_folders_is_left_out(tmp_path, line):
    places = [(k, k % 3) for k in range(9)]
    make(tmp_path, *(f"{CLASSES[number]}/{k}.jpg" for k, number in places))
    lines = [line.format(k=k, number=number, label=CLASSES[number]) for k, number in places]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    assert facts(tmp_path) == (9, list(CLASSES), 0)


def test_a_text_that_names_images_of_no_class_folder_is_left_out(tmp_path):
    """Such as the labels of ImageNet's images to validate with."""
    make(tmp_path, *(f"train/n0{k % 3}/{k}.jpg" for k in range(6)), *(f"val/v{k}.jpg" for k in range(6)))
    table(tmp_path / "val.txt", [(f"v{k}.jpg", k % 3) for k in range(6)], " ")
    assert facts(tmp_path) == (6, ["n00", "n01", "n02"], 0)


def test_a_named_folder_of_images_is_compared_with_the_table_alone(tmp_path):
    make(tmp_path, *(f"{folder}/{k}.png" for folder in ("images", "masks") for k in range(6)))
    table(tmp_path / "labels.csv", [("id", "label"), *((k, CLASSES[k % 3]) for k in range(6))])
    assert "0 can be images/0.png or masks/0.png" in refusal(tmp_path)
    assert facts(tmp_path, images="images") == (6, list(CLASSES), 0)


def test_a_text_that_reads_as_a_table_of_labels_is_one(cameras):
    root, rows = cameras
    table(root / "labels.txt", [("image", "label"), *rows], "\t")
    assert facts(root) == (12, list(CLASSES), 0)
    assert list_dataset(root).left_out == ()


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("train.txt", ["{image}"]),
        ("images.txt", ["{row} {image}"]),
        ("readme.txt", ["Photos of rice,", "a, b and c: see camera_a/0000.jpg"]),
        ("classes.txt", ["0 blast", "1 healthy"]),
    ],
)
def test_other_texts_and_lists_of_images_do_not_compete_with_class_folders(cameras, name, lines):
    root, rows = cameras
    images = [image for image, _ in rows] if "{" in lines[0] else [""]
    text = "".join(f"{line}\n".format(image=image, row=k) for k, image in enumerate(images) for line in lines)
    (root / name).write_text(text)
    assert facts(root) == (12, ["camera_a", "camera_b"], 0)
    assert [kind.what for kind in list_dataset(root).left_out] == [".txt file"]


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("labels.xlsx", True),
        ("Train.parquet", True),
        ("image_labels_v2.ods", True),
        ("cost.xlsx", False),
        ("class_descriptions.xlsx", False),
    ],
)
def test_a_spreadsheet_that_is_named_like_labels_is_not_passed_over(cameras, name, refused):
    root, _ = cameras
    (root / name).touch()
    if refused:
        assert f"{name}: is not read: save it as CSV; give `labels=FILE`" in refusal(root)
    assert facts(root, **({"labels": "folders"} if refused else {})) == (12, ["camera_a", "camera_b"], 0)


def test_a_table_with_a_row_for_each_box_or_label_is_refused_as_that(cameras):
    """Numbers of a further column, which may be ids of images, do not come before names of files."""
    root, rows = cameras
    make(root, *(f"more/{k}.jpg" for k in range(12)))
    table(root / "boxes.csv", [("image", "label", "xmin"), *((*rows[k // 2], k) for k in range(24))])
    assert "boxes.csv:3: duplicate image camera_a/0000.jpg, first in line 2: keep one row" in refusal(root)


def test_a_table_without_a_line_of_column_names_is_refused(cameras):
    root, rows = cameras
    table(root / "labels.csv", rows)
    assert "labels.csv:1: starts with the image camera_a/0000.jpg: add a line" in refusal(root)


def test_columns_are_named_by_options(cameras):
    root, rows = cameras
    wide = [(name, name, label, "me") for name, label in rows]
    table(root / "labels.csv", [("first", "second", "kind", "who"), *wide])
    assert facts(root, label_column="Kind") == (12, list(CLASSES), 0)
    listing = list_dataset(root, ReadOptions(label_column="kind", id_column="second"))
    assert listing.form == SubmissionFormat("second", "kind")
    assert "no column is called nothing (`label_column`)" in refusal(root, label_column="nothing")


def test_images_may_lie_in_a_folder_elsewhere(tmp_path):
    make(tmp_path, *(f"pictures/{k}.jpg" for k in range(6)))
    table(tmp_path / "tables" / "labels.csv", [("image", "label"), *((k, "ab"[k % 2]) for k in range(6))])
    assert "6 images missing" in refusal(tmp_path / "tables")
    assert facts(tmp_path / "tables", images=str(tmp_path / "pictures")) == (6, ["a", "b"], 0)


def test_a_table_of_answers_does_not_beat_class_folders(tmp_path):
    make(
        tmp_path,
        *(f"train/{CLASSES[k % 3]}/{k}.jpg" for k in range(30)),
        *(f"test/t{k}.jpg" for k in range(9)),
    )
    header = ("file", "label", "probability", "second", "second_probability", "third", "third_probability")
    rows = [(f"test/t{k}.jpg", CLASSES[k % 3], 0.8, "blast", 0.1, "blast", 0.1) for k in range(9)]
    table(tmp_path / "answers.csv", [header, *rows])
    table(tmp_path / "guesses.csv", [("image", "label"), *((row[0], row[1]) for row in rows)])
    assert facts(tmp_path) == (30, list(CLASSES), 9)
    assert [(kind.what, kind.examples) for kind in list_dataset(tmp_path).left_out] == [
        ("table (answers of tune-paddy predict)", ("answers.csv",)),
        ("table (it names images to predict only)", ("guesses.csv",)),
    ]


@pytest.mark.parametrize("name", ["preds.csv", "test_answers.csv", "predictions.tsv"])
def test_answers_for_some_images_do_not_say_which_images_are_to_be_predicted(tmp_path, name):
    make(tmp_path, *(f"train/{label}/1.jpg" for label in CLASSES), *(f"test/{k}.jpg" for k in range(6)))
    header = ("file", "label", "probability", "second", "second_probability")
    table(tmp_path / name, [header, ("test/1.jpg", "blast", 0.8, "healthy", 0.1)])
    assert facts(tmp_path) == (3, list(CLASSES), 6)
    assert list_dataset(tmp_path).left_out[0].what == "table (answers of tune-paddy predict)"


def test_answers_with_several_labels_do_not_beat_class_folders(tmp_path):
    names = [f"{label}/{k}{label}.jpg" for label in ("cat", "dog") for k in range(4)]
    make(tmp_path, *names)
    rows = [(name, ("cat|dog", "dog")[k % 2], "0.700000", "0.600000") for k, name in enumerate(names)]
    table(tmp_path / "answers.csv", [("file", "labels", "cat", "dog"), *rows])
    assert facts(tmp_path) == (8, ["cat", "dog"], 0)
    assert list_dataset(tmp_path).left_out[0].what == "table (answers of tune-paddy predict)"


def test_corrections_in_the_dataset_do_not_compete_with_its_labels(tmp_path):
    """A person may put the table of the label doctor beside the images, and edit it."""
    make(tmp_path, *(f"{label}/{k}.jpg" for label in ("cat", "dog") for k in range(4)))
    columns = ("id", "given", "likelier", "label", "confirmed", "doubt", "votes")
    rows = [
        columns,
        ("cat/0.jpg", "cat", "dog", "dog", "yes", 0.9, "2/2"),
        ("cat/1.jpg", "cat", "dog", "cat", "", 0.8, "2/2"),
        ("dog/1.jpg", "dog", "cat", "cat", "yes", 0.8, "2/2"),
    ]
    table(tmp_path / "labels.csv", rows)
    assert facts(tmp_path) == (8, ["cat", "dog"], 0)
    assert list_dataset(tmp_path).left_out[0].what == "table (suspects of tune-paddy data doctor)"
    table(tmp_path / "fixed.csv", [(row[0], row[1], row[3]) for row in rows])
    assert "names 3 of 8 images in the folders cat, dog, with other labels" in refusal(tmp_path)
    listing = list_dataset(tmp_path, ReadOptions(relabel="fixed.csv"))
    assert dict(zip(listing.labelled["id"], listing.labelled["label"], strict=True))["cat/0.jpg"] == "dog"
    assert [kind.examples for kind in listing.left_out] == [("labels.csv",)]


def test_a_table_of_some_images_with_the_same_labels_does_not_beat_class_folders(tmp_path):
    make(tmp_path, *(f"{label}/{k}{label}.jpg" for label in ("cat", "dog") for k in range(4)))
    table(tmp_path / "extra.csv", [("file", "label"), ("0cat.jpg", "cat"), ("1cat.jpg", "cat")])
    assert facts(tmp_path) == (8, ["cat", "dog"], 0)
    assert (
        list_dataset(tmp_path).left_out[0].what == "table (it names 2 of the 8 images in the class folders)"
    )
    table(tmp_path / "extra.csv", [("file", "label"), ("0cat.jpg", "dog"), ("1cat.jpg", "dog")])
    assert "names 2 of 8 images in the folders cat, dog, with other labels" in refusal(tmp_path)


# --- what the program wrote ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        (".tune_paddy-output",),
        ("split.json", "images.csv"),
        ("ensemble.json",),
        ("MLmodel",),
        ("tune_paddy_bundle.json",),
        (".fetched.json",),
    ],
)
def test_folders_that_the_program_wrote_are_never_read(tmp_path, names):
    make(tmp_path, *(f"{label}/1.jpg" for label in CLASSES))
    make(
        tmp_path, *(f"runs/tiny-1/{name}" for name in names), "runs/tiny-1/figures/cost.png", "mlflow.db-wal"
    )
    make(tmp_path, f"mlartifacts/0/{'a1' * 16}/artifacts/figures/cost.png")
    listing = list_dataset(tmp_path)
    assert facts(tmp_path) == (3, list(CLASSES), 0)
    assert [(kind.what, kind.count) for kind in listing.left_out] == [("written by tune_paddy", 3)]
    assert listing.notes == ()


def test_a_folder_of_results_is_refused_as_a_dataset(tmp_path):
    make(tmp_path, ".tune_paddy-output", "figures/cost.png")
    assert "holds results that tune_paddy wrote" in refusal(tmp_path)


def test_every_kind_of_file_that_is_not_read_is_listed(tmp_path):
    make(tmp_path, *(f"{label}/1.jpg" for label in CLASSES), "notes.txt", ".git/x", "loose.jpg", "model.bin")
    (tmp_path / "blast" / "link").symlink_to(tmp_path / "tungro")
    assert {kind.what: kind.count for kind in list_dataset(tmp_path).left_out} == {
        "image in no class folder": 1,
        ".bin file": 1,
        ".txt file": 1,
        "hidden": 1,
        "link to a folder": 1,
    }
