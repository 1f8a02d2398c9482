"""Names that no program expects, through the whole job: dataset, training, record, selection, submission."""

import csv
import shutil
from pathlib import Path

import pytest

from tests.conftest import make_plan, searched
from tune_paddy.data.csv_table import format_csv
from tune_paddy.data.ensemble_file import read_ensemble
from tune_paddy.data.submission import check_submission
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.tracking.store import open_store

ODD = "--help [red] 'ä\n🌾 \"; rm -rf $HOME"
LABELS = (ODD, "-1")
SPACE = """
search: {trials: 1, retries: 0, select_share: 0.5}
recipes:
  - {arch: test_resnet, pretrained: false, schedule: one_cycle, size: 32, epochs: 1, batch_size: 16, tta: 0}
"""


@pytest.fixture
def dataset(small_digits: Path, tmp_path: Path) -> Path:
    """Zeros and ones in Kaggle's layout, under odd names of folders, classes and files."""
    root = tmp_path / ODD
    tables: dict[str, list[tuple[str, str]]] = {"train.csv": [], "sample_submission.csv": []}
    for digit, label in enumerate(LABELS):
        images = sorted((small_digits / "train_images" / str(digit)).iterdir())
        for number, image in enumerate(images):
            name = f"{ODD} {digit}-{number}.png"
            train = number < 12
            folder = root / "train_images" / label if train else root / "test_images"
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, folder / name)
            tables["train.csv" if train else "sample_submission.csv"].append((name, label))
    for table, rows in tables.items():
        (root / table).write_bytes(format_csv([("image_id", "label"), *rows]))
    return root


def test_odd_names_go_through_the_whole_job(
    dataset: Path,
    ray_running: None,  # noqa: ARG001 asked for what it starts
) -> None:
    runs = dataset.parent / f"-runs {ODD}"
    plan = make_plan("odd", dataset, runs, SPACE)
    uri = f"sqlite:///{dataset.parent}/{ODD}.db"
    store = open_store(uri, experiment=dataset.name, artifact_root=runs / "artifacts", create=True)
    (member,) = searched(plan, store)
    assert (member.outcome, member.failure) == ("finished", "")
    ensemble = build_ensemble(store, ["odd"], folder=plan.folder)
    assert ensemble.submission
    check_submission(ensemble.submission, dataset / "sample_submission.csv", LABELS)
    with (
        ensemble.submission.open(newline="") as file,
        (dataset / "sample_submission.csv").open(newline="") as sample,
    ):
        assert [row[0] for row in csv.reader(file)] == [row[0] for row in csv.reader(sample)]
    assert set(read_ensemble(plan.folder / "ensemble.json").classes) == set(LABELS)
