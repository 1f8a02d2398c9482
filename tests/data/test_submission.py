import csv

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
from tune_paddy.data.submission.form import SubmissionFormat

FORM = SubmissionFormat()
names = st.text(st.characters(codec="utf-8"), min_size=1)


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "sample.csv"
    path.write_text("image_id,label\nb.jpg,\na.jpg,\n")
    return path


def submission(tmp_path, text):
    path = tmp_path / "subm.csv"
    path.write_text(text)
    return path


def test_a_submission_has_the_same_bytes_everywhere(tmp_path):
    write_submission(tmp_path / "s.csv", ["b.jpg", "ü,1.jpg"], ["blast", "normal"], FORM)
    expected = 'image_id,label\nb.jpg,blast\n"ü,1.jpg",normal\n'
    assert (tmp_path / "s.csv").read_bytes() == expected.encode()


def test_an_image_named_twice_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="1 image twice, the first is a"):
        write_submission(tmp_path / "s.csv", ["a", "a"], ["x", "y"], FORM)
    assert not list(tmp_path.iterdir())


@given(st.dictionaries(names, names, min_size=1))
def test_a_written_submission_is_read_back(tmp_path, answers):
    write_submission(tmp_path / "s.csv", list(answers), list(answers.values()), FORM)
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
        ("image_id,label,p\nb.jpg,x,1\na.jpg,x,1\n", "has 3 columns; a submission has two"),
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
