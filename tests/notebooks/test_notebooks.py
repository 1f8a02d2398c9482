"""The notebooks: stored without outputs, thin, and executed on the digits."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest

from tests.conftest import Finished, rehearsed
from tests.notebooks.running import FOLDER, execute, read, text_of
from tune_paddy.spaces.space import find_space
from tune_paddy.training.networks.architectures import stand_in

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert cells
    assert not [cell for cell in cells if cell.outputs or cell.execution_count]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_defines_nothing(path: Path) -> None:
    source = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "code")
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]


@dataclass(frozen=True)
class Ran:
    """Two notebooks that ran in one process, since each process imports for seconds.

    Attributes:
        road: Cells of the first.
        explored: Cells of the second; it began without the first one's variables, in another folder.
        folder: Working folder of the first.
        elsewhere: Working folder of the second.
    """

    road: list[Any]
    explored: list[Any]
    folder: Path
    elsewhere: Path


@pytest.fixture(scope="module")
def ran(
    small_digits: Path,
    finished: Finished,
    kernel: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ran:
    """The road to the top, then the exploration of a search; an error in one does not stop the other."""
    folder, elsewhere = tmp_path_factory.mktemp("road"), tmp_path_factory.mktemp("explored")
    text = find_space("road_to_the_top").read_text().partition("  - name: swinv2-squish")[0]
    for arch in set(re.findall(r"arch: (\S+)", text)):
        text = text.replace(arch, stand_in(arch))
    # One process imports torch, for its first trial, instead of two in advance.
    kernel.setenv("RAY_preload_python_modules", "tune_paddy")
    (folder / "short.yaml").write_text(rehearsed(text).replace("trials: 6", "trials: 6\n  concurrency: 1"))
    kernel.setenv("TUNE_PADDY_DATA", str(small_digits))
    kernel.setenv("TUNE_PADDY_SPACE", "short.yaml")
    both, second = (read(FOLDER / f"{name}.ipynb") for name in ("01_road_to_the_top", "02_explore_a_search"))
    begin = {"MLFLOW_TRACKING_URI": finished.store.tracking_uri, "TUNE_PADDY_SEARCH": "first"}
    afresh = f"%reset -f\nimport os\nos.chdir({str(elsewhere)!r})\nos.environ.update({begin!r})\ndel os"
    road = both.cells
    both.cells = [*road, nbformat.v4.new_code_cell(afresh), *second.cells]
    execute(both, folder, allow_errors=True)
    return Ran(road, both.cells[len(road) + 1 :], folder, elsewhere)


def test_the_road_to_the_top_runs_from_images_to_submission(ran: Ran, small_digits: Path) -> None:
    """The first three of its six members train for one epoch; tiny architectures replace all of them."""
    text = text_of(ran.road)
    assert "3 of 3 members done" in text, "the table of the search stays in the cell's output"
    assert text.count("image/png") == 4, "photographs, the members, the ensemble and the costs"
    assert all(step in text for step in ("forecast the memory", "train 3 members", "write the submission"))
    written = pd.read_csv(ran.folder / "subm.csv", dtype=str)
    sample = pd.read_csv(small_digits / "sample_submission.csv", dtype=str)
    assert written.columns.tolist() == sample.columns.tolist()
    assert written["image_id"].tolist() == sample["image_id"].tolist()
    assert set(written["label"]) <= set("0123456789")


def test_a_notebook_explores_a_search(ran: Ran) -> None:
    text = text_of(ran.explored)
    assert "0000-resnet-test_resnet-32" in text or "0000-test_resnet-32" in text
    assert "error_rate" in text
    assert not (ran.elsewhere / "mlflow.db").exists()
