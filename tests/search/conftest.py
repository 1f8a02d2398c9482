"""A second search beside the shared one, with other settings of trials and odd names."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import make_plan, planted_secrets, searched
from tune_paddy.data.tables.csv_table import format_csv
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.timing.budget import TimeBudget
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.store import Store, open_store

ODD = "--help [red] 'ä\n🌾 \"; rm -rf $HOME"
LABELS = (ODD, "-1")
SPACE = """
search:
  {trials: 50, minutes: 600, scheduler: asha, concurrency: 1, retries: 0, select_share: 0.5,
   keep_weights: none, gpu: auto, gpu_memory: 12000, cpus: 1}
defaults: {pretrained: false, schedule: one_cycle, size: 32, epochs: 5, batch_size: 16, tta: 0}
recipes: [{name: broken, arch: test_resnet, pretrained: no-such-weights.safetensors}]
spaces: [{name: nets, arch: test_resnet, lr: {low: 1.0e-6, high: 0.01, log: true}}]
"""

TRIALS = 5
"""Number of trials that end by themselves, the first without its weights; the time is used up in the next."""

CHECKPOINTS = f"members/{TRIALS:04}-*/checkpoint-*.safetensors"
"""Checkpoints of the member that is interrupted."""


@pytest.fixture(scope="module", autouse=True)
def _one_schema(one_schema: None) -> None:
    """Create the records of all these tests quickly; tests of the record itself let MLflow do it."""


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


@pytest.fixture(scope="session")
def odd(
    small_digits: Path,
    tmp_path_factory: pytest.TempPathFactory,
    ray_running: None,  # noqa: ARG001 starts Ray
) -> Odd:
    """A search with odd names and automatic shares of a GPU; weak trials stop early, and the time the last.

    Each search on Ray starts a worker, which imports torch for seconds, so one search shows all of these.
    """
    dataset = odd_dataset(small_digits, tmp_path_factory.mktemp("odd"))
    runs = dataset.parent / f"-runs {ODD}"
    plan = make_plan("odd", dataset, runs, SPACE)
    uri = f"sqlite:///{dataset.parent}/{ODD}.db"
    store = open_store(uri, experiment=dataset.name, artifact_root=runs / "artifacts", create=True)
    end = TimeBudget(0.0, 36000.0).training_end

    def clock() -> float:
        return end if any(plan.folder.glob(CHECKPOINTS)) else 0.0

    with planted_secrets(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_PADDY_CACHE", str(dataset.parent / "cache"))  # no stored forecasts
        members = searched(plan, store, clock=clock)
    return Odd(dataset, plan, store, members)
