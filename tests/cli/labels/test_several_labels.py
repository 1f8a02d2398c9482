"""Several labels an image, from a table of labels to its correction and back."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

import tune_paddy as tp
from tests.cli.conftest import Call
from tests.data.conftest import save_photo
from tests.ensemble.conftest import record_members
from tune_paddy.core.predictions import Predictions
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.labels.texts import join_labels
from tune_paddy.data.tables.csv_table import read_csv
from tune_paddy.tracking.schema import SearchRecord
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store, open_store

CLASSES = ("frog eye", "rust", "scab")
PLANTED = tuple(range(0, 80, 10))
"""Images of which one label is wrong in the dataset."""


@dataclass(frozen=True)
class Leaves:
    """A dataset with wrong labels, and a search whose members judge them.

    Attributes:
        folder: Folder of the dataset.
        store: The record, with the search `leaves`.
        truth: Right labels, 0 and 1 [images, labels].
        given: Labels of the dataset.
    """

    folder: Path
    store: Store
    truth: np.ndarray
    given: np.ndarray


def text(row: np.ndarray, separator: str) -> str:
    return separator.join(name for name, held in zip(CLASSES, row, strict=True) if held)


def record(store: Store, name: str, dataset: Dataset, truth: np.ndarray) -> None:
    """Record a search with folds of two members that know the truth, and are certain of planted images."""
    task, labels = Task.of("multilabel"), dataset.labelled["label"].tolist()
    ids = np.array(dataset.labelled["id"].tolist())
    rows = [int(Path(image).stem) for image in ids]
    reading = SearchRecord(dataset.root, dataset.root, reading=dataset.options.given(), settings={"folds": 5})
    start_search(store, name=name, tags=reading.to_tags())
    members = []
    certainty = 0.5 + 4 * np.random.default_rng(1).random(truth.shape)
    certainty[list(PLANTED)] = 4.5
    for seed in range(2):
        noise = np.random.default_rng(seed).normal(size=truth.shape)
        logits = (2 * truth - 1) * certainty + 0.3 * noise
        members.append(
            Predictions(
                classes=CLASSES,
                split="abc",
                select_ids=ids,
                select_labels=task.encode(labels, CLASSES),
                test_ids=np.array([], np.str_),
                select={"plain": expit(logits[rows]).astype(np.float32)},
                test={"plain": np.empty((0, 3), np.float32)},
                task=task,
            )
        )
    record_members(store, name, members)


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> Leaves:
    root = tmp_path_factory.mktemp("leaves")
    truth = (np.random.default_rng(0).random((80, 3)) < (0.5, 0.4, 0.3)).astype(np.int64)
    given = truth.copy()
    for row in PLANTED:
        given[row, row // 10 % 3] ^= 1
    for number in range(80):
        save_photo(root / "data" / "images" / f"{number}.png", number)
    rows = "".join(f"{number};{text(row, ', ')}\n" for number, row in enumerate(given))
    (root / "data" / "train.csv").write_text(f"image;labels\n{rows}")
    uri = f"sqlite:///{root}/mlflow.db"
    store = open_store(uri, experiment="leaves", artifact_root=root / "artifacts", create=True)
    record(store, "leaves", Dataset.open(root / "data"), truth)
    return Leaves(root / "data", store, truth, given)


def examined(leaves: Leaves, call: Call, folder: Path) -> tuple[str, list[dict[str, str]]]:
    """Examine the labels; return what was printed, and the rows of the table."""
    uri = leaves.store.tracking_uri
    printed = call("data", "doctor", "leaves", "--to", str(folder), "--tracking-uri", uri)
    table = read_csv(folder / "labels.csv")
    return printed, [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_wrong_labels_are_listed_first_with_the_likelier_set_and_what_changes(
    leaves: Leaves, call: Call, tmp_path: Path
) -> None:
    printed, rows = examined(leaves, call, tmp_path / "out")
    assert "80 labels judged by 2 views: about 8 (" in printed
    assert len(rows) == 20
    for row in rows[: len(PLANTED)]:
        number = int(Path(row["id"]).stem)
        assert number in PLANTED
        assert row["given"] == row["label"] == text(leaves.given[number], "|")
        assert row["likelier"] == text(leaves.truth[number], "|")
        assert row["votes"] == "2/2"
    page = (tmp_path / "out" / "labels.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == 20
    missing = sum(leaves.truth[row].sum() > leaves.given[row].sum() for row in PLANTED)
    assert page.count(" missing: 100 %") == missing
    assert page.count(" wrong: 100 %") == len(PLANTED) - missing
    assert page.count("doubt 100 %") == len(PLANTED)


def test_corrected_labels_are_read_back_and_two_searches_compared_on_the_confirmed_ones(
    leaves: Leaves, call: Call, tmp_path: Path
) -> None:
    """A person may separate them as the table does, or as the dataset does."""
    _, rows = examined(leaves, call, tmp_path / "out")
    for position, row in enumerate(rows[: len(PLANTED)]):
        row["label"] = row["likelier"].replace("|", ", ") if position % 2 else row["likelier"]
        row["confirmed"] = "yes"
    edited = tmp_path / "edited.csv"
    with edited.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    dataset = Dataset.open(leaves.folder, relabel=edited)
    labels = dict(zip(dataset.labelled["id"], dataset.labelled["label"], strict=True))
    assert any(f"{len(PLANTED)} labels changed" in note for note in dataset.report.notes)
    for name, label in labels.items():
        assert label == text(leaves.truth[int(Path(name).stem)], "|")
        assert label == join_labels(label.split("|") if label else [])
    record(leaves.store, "corrected", dataset, leaves.truth)
    uri = leaves.store.tracking_uri
    compared = call("data", "doctor", "corrected", "--before", "leaves", "--tracking-uri", uri)
    assert f"{len(PLANTED)} images with a confirmed label" in compared
    assert "error per label 0.00 % in leaves, 0.00 % in corrected" in compared
    assert "nothing is conspicuous" in call("data", "doctor", "corrected", "--to", ".", "--tracking-uri", uri)


def test_python_names_the_labels_that_are_missing_or_wrong(leaves: Leaves) -> None:
    found = tp.find_label_errors("leaves", most=8, tracking_uri=leaves.store.tracking_uri)
    assert list(found.table().columns) == ["id", "given", "likelier", "doubt", "votes"]
    for suspect in found.suspects:
        (change,) = suspect.changes
        given = suspect.given.split("|")
        assert change.missing == (change.label not in given)
        assert change.label in (suspect.likelier.split("|") if change.missing else given)
