import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_paddy.core.errors import InputError
from tune_paddy.data.submission.files import (
    check_same_ids,
    check_submission,
    read_submission,
    write_submission,
)
from tune_paddy.data.submission.form import Kind, SubmissionFormat

FORM = SubmissionFormat()
names = st.text(st.characters(codec="utf-8"), min_size=1)


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "sample.csv"
    path.write_text("image_id,label\nb.jpg,\na.jpg,\n")
    return path


def write(path, ids, labels):
    """Write a submission of labels, which needs no probabilities."""
    write_submission(path, ids, np.empty((len(ids), 0)), labels, FORM, classes=())


def submission(tmp_path, text):
    path = tmp_path / "subm.csv"
    path.write_text(text)
    return path


def test_a_submission_has_the_same_bytes_everywhere(tmp_path):
    write(tmp_path / "s.csv", ["b.jpg", "ü,1.jpg"], ["blast", "normal"])
    expected = 'image_id,label\nb.jpg,blast\n"ü,1.jpg",normal\n'
    assert (tmp_path / "s.csv").read_bytes() == expected.encode()


def test_an_image_named_twice_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="1 image twice, the first is a"):
        write(tmp_path / "s.csv", ["a", "a"], ["x", "y"])
    assert not list(tmp_path.iterdir())


@given(st.dictionaries(names, names, min_size=1))
def test_a_written_submission_is_read_back(tmp_path, answers):
    write(tmp_path / "s.csv", list(answers), list(answers.values()))
    read = read_submission(tmp_path / "s.csv")
    assert dict(zip(read.ids, read.labels, strict=True)) == answers
    assert read.form == FORM
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)][1:] == list(answers)


def test_a_submission_that_matches_the_sample_passes(tmp_path, sample):
    check_submission(submission(tmp_path, "image_id,label\nb.jpg,x\na.jpg,y\n"), sample, ["x", "y"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,label\na.jpg,x\nb.jpg,x\n", "image 1 is a.jpg, but .* has b.jpg"),
        ("image_id,label\nb.jpg,x\n", "lacks 1 image, such as a.jpg"),
        ("image_id,label\nb.jpg,x\na.jpg,x\nc.jpg,x\n", "has 1 other, such as c.jpg"),
        ("image_id,label\nb.jpg,x\na.jpg,z\n", "'z' is not a class"),
        ("id,label\nb.jpg,x\na.jpg,x\n", "has columns id, label, but .* has image_id, label"),
        ("image_id,label,p\nb.jpg,x,1\na.jpg,x,1\n", "has 3 columns, and not all hold numbers"),
        ("image_id,label\nb.jpg,x\nb.jpg,x\n", "names 1 image twice"),
    ],
)
def test_a_submission_that_differs_is_refused_with_the_first_difference(tmp_path, sample, text, message):
    with pytest.raises(InputError, match=message):
        check_submission(submission(tmp_path, text), sample, ["x", "y"])


def test_missing_and_extra_ids_are_both_counted():
    message = "A does not match B: it lacks 2 images, such as a and has 1 other, such as c"
    with pytest.raises(InputError, match=message):
        check_same_ids(["c"], ["b", "a"], what="A", wanted_by="B")


# --- probabilities -------------------------------------------------------------------------------------

PETS = ("cat", "dog", "eel")
COLUMNS = SubmissionFormat("id", "label", Kind.PROBABILITIES, ("Eel", "cat", "dog"), ("eel", "cat", "dog"))
ROW = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3).filter(lambda row: sum(row) > 0.01)
shares = st.lists(
    ROW,
    min_size=1,
)


@given(shares)
def test_numbers_are_read_back_as_the_same_float32_and_rows_sum_to_1(tmp_path_factory, rows):
    probs = np.array(rows, np.float64)
    probs /= probs.sum(axis=1, keepdims=True)
    path = tmp_path_factory.getbasetemp() / "probabilities.csv"
    ids = [str(row) for row in range(len(probs))]
    write_submission(path, ids, probs, [], COLUMNS, classes=PETS)
    read = read_submission(path)
    numbers = np.array([[float(value) for value in row] for row in read.values])
    assert read.columns == ("id", "Eel", "cat", "dog")
    assert np.array_equal(numbers.astype(np.float32), probs[:, [2, 0, 1]].astype(np.float32))
    assert np.abs(numbers.sum(axis=1) - 1).max() <= 1e-6
    digits = [value.partition("e")[0].replace(".", "").lstrip("0") for row in read.values for value in row]
    assert max(map(len, digits)) <= 9


def test_one_probability_is_that_of_its_class(tmp_path):
    form = SubmissionFormat("id", "is_dog", Kind.PROBABILITY, classes=("dog",))
    write_submission(
        tmp_path / "s.csv", ["a"], np.array([[0.25, 0.75]]), ["dog"], form, classes=("cat", "dog")
    )
    assert (tmp_path / "s.csv").read_text() == "id,is_dog\na,0.75\n"


def test_several_labels_are_joined_by_the_forms_separator(tmp_path):
    form = SubmissionFormat("image", "labels", Kind.JOINED, separator=" ")
    probs, labels = np.zeros((3, 2)), ["rust|scab", "rust", ""]
    write_submission(tmp_path / "s.csv", ["a", "b", "c"], probs, labels, form, classes=("rust", "scab"))
    assert (tmp_path / "s.csv").read_text() == "image,labels\na,rust scab\nb,rust\nc,\n"
    (tmp_path / "sample.csv").write_text("image,labels\na,rust\nb,rust\nc,rust\n")
    check_submission(tmp_path / "s.csv", tmp_path / "sample.csv", ("rust", "scab"), form)
    with pytest.raises(InputError, match="'scab' is not a class"):
        check_submission(tmp_path / "s.csv", tmp_path / "sample.csv", ("rust",), form)


def test_the_most_probable_classes_are_joined_in_their_order(tmp_path):
    form = SubmissionFormat("image", "Id", Kind.RANKED, separator=" ", count=2)
    probs = np.array([[0.1, 0.3, 0.6], [0.4, 0.2, 0.4]])
    write_submission(tmp_path / "s.csv", ["a", "b"], probs, ["eel", "cat"], form, classes=PETS)
    assert (tmp_path / "s.csv").read_text() == "image,Id\na,eel dog\nb,cat eel\n"
    (tmp_path / "sample.csv").write_text("image,Id\na,cat dog\nb,cat dog\n")
    check_submission(tmp_path / "s.csv", tmp_path / "sample.csv", PETS, form)


def test_a_column_of_an_unknown_class_is_refused(tmp_path):
    with pytest.raises(InputError, match="a column of eel, which is no class"):
        write_submission(
            tmp_path / "s.csv", ["a"], np.zeros((1, 2)), ["cat"], COLUMNS, classes=("cat", "dog")
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,cat,Eel,dog\n1,0,0,1\n", "has columns id, cat, Eel, dog, but .* has id, Eel, cat, dog"),
        ("id,Eel,cat,dog\n1,0,0,1.5\n", "1.5 of 1 is no probability"),
        ("id,Eel,cat,dog\n1,0,0,cat\n", "not all hold numbers"),
        ("id,label\n1,cat\n", "has columns id, label, but"),
        ("id,Eel,cat,dog\n2,0,0,1\n", "lacks 1 image, such as 1"),
    ],
)
def test_probabilities_that_differ_from_the_sample_are_refused(tmp_path, text, message):
    (tmp_path / "sample.csv").write_text("id,Eel,cat,dog\n1,0.3,0.3,0.4\n")
    with pytest.raises(InputError, match=message):
        check_submission(submission(tmp_path, text), tmp_path / "sample.csv", PETS, COLUMNS)


def test_labels_pass_although_the_sample_has_a_column_per_class_if_a_person_chose_them(tmp_path):
    (tmp_path / "sample.csv").write_text("id,Eel,cat,dog\n1,0.3,0.3,0.4\n")
    form = SubmissionFormat("id", "kind")
    check_submission(submission(tmp_path, "id,kind\n1,cat\n"), tmp_path / "sample.csv", PETS, form)
