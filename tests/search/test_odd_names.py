"""Unusual names through the whole program, in a search whose time for training is used up."""

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import make_plan, searched
from tune_paddy.data.ensemble_file import read_ensemble
from tune_paddy.data.submission.files import check_submission
from tune_paddy.data.tables.csv_table import format_csv
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.timing.budget import TimeBudget
from tune_paddy.tracking.runs import RecordedRun, get_search
from tune_paddy.tracking.store import Store, open_store

ODD = "--help [red] 'ä\n🌾 \"; rm -rf $HOME"
LABELS = (ODD, "-1")
SPACE = """
search: {trials: 50, minutes: 600, concurrency: 1, retries: 0, select_share: 0.5}
defaults: {pretrained: false, schedule: one_cycle, size: 32, epochs: 1, batch_size: 16, tta: 0}
recipes: [{arch: test_resnet}, {arch: test_resnet, epochs: 60, name: long}]
spaces: [{name: nets, arch: test_resnet, lr: {low: 0.002, high: 0.01, log: true}}]
"""

CHECKPOINTS = "members/0001-*/checkpoint-*.safetensors"
"""Checkpoints of the second member, which has far more epochs than it can train until the time is used up."""


@dataclass(frozen=True)
class Odd:
    """A search that has run out of time: its dataset, plan, record and members."""

    dataset: Path
    plan: SearchPlan
    store: Store
    members: tuple[RecordedRun, ...]


def odd_dataset(small_digits: Path, folder: Path) -> Path:
    """Return zeros and ones in Kaggle's layout, with odd names of folders, classes and files."""
    root = folder / ODD
    tables: dict[str, list[tuple[str, str]]] = {"train.csv": [], "sample_submission.csv": []}
    for digit, label in enumerate(LABELS):
        images = sorted((small_digits / "train_images" / str(digit)).iterdir())
        for number, image in enumerate(images):
            name = f"{ODD} {digit}-{number}.png"
            train = number < 12
            place = root / "train_images" / label if train else root / "test_images"
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, place / name)
            tables["train.csv" if train else "sample_submission.csv"].append((name, label))
    for table, rows in tables.items():
        (root / table).write_bytes(format_csv([("image_id", "label"), *rows]))
    return root


@pytest.fixture(scope="module")
def odd(
    small_digits: Path,
    tmp_path_factory: pytest.TempPathFactory,
    ray_running: None,  # noqa: ARG001 starts Ray
) -> Odd:
    """A search with odd names, whose time is used up in the first epochs of its second member."""
    dataset = odd_dataset(small_digits, tmp_path_factory.mktemp("odd"))
    runs = dataset.parent / f"-runs {ODD}"
    plan = make_plan("odd", dataset, runs, SPACE)
    uri = f"sqlite:///{dataset.parent}/{ODD}.db"
    store = open_store(uri, experiment=dataset.name, artifact_root=runs / "artifacts", create=True)
    end = TimeBudget(0.0, 36000.0).training_end

    def clock() -> float:
        return end if any((runs / "odd").glob(CHECKPOINTS)) else 0.0

    members = searched(plan, store, clock=clock)
    return Odd(dataset, plan, store, members)


def test_a_running_member_ends_with_its_epoch_and_can_be_resumed(odd: Odd) -> None:
    """The search ends without an error, so that a selection can follow."""
    _, long = odd.members
    assert long.outcome == "interrupted"
    assert any(odd.plan.folder.glob(CHECKPOINTS))
    assert get_search(odd.store, "odd").outcome == "finished"


def test_no_trial_starts_after_the_time_is_used_up(odd: Odd) -> None:
    assert [member.outcome for member in odd.members] == ["finished", "interrupted"]


def test_odd_names_pass_through_the_whole_program(odd: Odd) -> None:
    dataset, plan = odd.dataset, odd.plan
    assert odd.members[0].failure == ""
    ensemble = build_ensemble(odd.store, ["odd"], folder=plan.folder)
    assert ensemble.submission
    check_submission(ensemble.submission, dataset / "sample_submission.csv", LABELS)
    with (
        ensemble.submission.open(newline="") as file,
        (dataset / "sample_submission.csv").open(newline="") as sample,
    ):
        assert [row[0] for row in csv.reader(file)] == [row[0] for row in csv.reader(sample)]
    assert set(read_ensemble(plan.folder / "ensemble.json").classes) == set(LABELS)
