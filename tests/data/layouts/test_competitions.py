"""The forms of public competitions: opened with the right labels, answered in the right form, or refused."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.competitions import COMPETITIONS, Competition
from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.submission.files import check_submission, read_submission, write_submission
from tune_paddy.data.submission.form import Kind
from tune_paddy.data.tables.csv_table import read_table

Made = tuple[Path, Competition]


@pytest.fixture(scope="module", params=COMPETITIONS)
def made(request, tmp_path_factory) -> Made:
    """A tiny copy of each competition's data, and what is right for it."""
    root = tmp_path_factory.mktemp("data") / request.param
    return root, COMPETITIONS[request.param](root)


@pytest.fixture(scope="module")
def opened(made: Made) -> Dataset:
    root, right = made
    return Dataset.open(root, **right.options)


def test_a_competition_is_opened_with_the_right_labels(made, opened):
    _, right = made
    labels = opened.labelled.set_index("id")["label"].to_dict()
    assert labels == right.labels
    assert list(opened.classes) == right.classes
    assert opened.test["id"].tolist() == list(right.test_ids)
    assert opened.task.name == right.task
    assert (opened.submission.kind, opened.submission.header) == (right.kind, tuple(right.header))


def test_every_file_is_read_or_listed(made, opened):
    root, _ = made
    told = sum(kind.count for kind in opened.description.left_out if kind.what.startswith("image"))
    images = [path for path in root.rglob("*") if path.suffix in {".jpg", ".jpeg", ".png", ".tif"}]
    assert len(images) == len(opened.labelled) + len(opened.test) + told
    assert told == 0


def test_predictions_are_written_in_the_samples_form(opened, tmp_path):
    """The file passes the check against the sample, and holds the predictions of the right columns."""
    form, classes = opened.submission, opened.classes
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(len(classes)), len(opened.test))
    labels = opened.task.decode(
        opened.task.encode(opened.labelled["label"].tolist(), classes)[: len(opened.test)], classes
    )
    path = tmp_path / "submission.csv"
    write_submission(path, opened.test["id"].tolist(), probs, labels, form, classes=classes)
    assert opened.sample is not None
    check_submission(path, opened.sample, classes, form)
    sample, written = read_table(opened.sample), read_submission(path)
    assert (written.columns, list(written.ids)) == (sample.columns, sample.column(sample.columns[0]))
    if form.kind.is_numeric:
        numbers = np.array(written.values, np.float64)
        expected = probs[:, [classes.index(name) for name in form.classes]]
        assert np.array_equal(numbers.astype(np.float32), expected.astype(np.float32))
    else:
        separator = form.separator if form.kind is Kind.JOINED else "|"
        assert [text.split(separator) for text in written.labels] == [text.split("|") for text in labels]


def test_a_sample_of_other_classes_is_refused_before_training(made):
    """The sample's columns are replaced by two that are no classes."""
    root, right = made
    sample = next(path for path in root.iterdir() if "ubmission" in path.name)
    before = sample.read_bytes()
    with sample.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    wrong = [(row[0], "0.5", "0.5") for row in rows]
    wrong[0] = (rows[0][0], "unknown", "other")
    try:
        sample.write_text("".join(",".join(row) + "\n" for row in wrong), encoding="utf-8")
        options = {"task": right.task}
        if "target" in rows[0]:  # its sample alone tells which of three columns holds the labels
            options["label_column"] = "target"
        with pytest.raises(InputError, match=r"has 2 columns that are no classes \(unknown, other\)"):
            Dataset.open(root, **options)
    finally:
        sample.write_bytes(before)
