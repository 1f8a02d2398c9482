"""The notebooks: stored without outputs, thin, and executed on the digits."""

import ast
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import rehearsed
from tests.notebooks.running import FOLDER, execute, read
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


def test_the_road_to_the_top_runs_from_images_to_submission(
    small_digits: Path, kernel: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first three of its six members train for one epoch; tiny architectures replace all of them."""
    text = find_space("road_to_the_top").read_text().partition("  - name: swinv2-squish")[0]
    for arch in set(re.findall(r"arch: (\S+)", text)):
        text = text.replace(arch, stand_in(arch))
    # One process imports torch, for its first trial, instead of two in advance.
    kernel.setenv("RAY_preload_python_modules", "tune_paddy")
    (tmp_path / "short.yaml").write_text(rehearsed(text).replace("trials: 6", "trials: 6\n  concurrency: 1"))
    kernel.setenv("TUNE_PADDY_DATA", str(small_digits))
    kernel.setenv("TUNE_PADDY_SPACE", "short.yaml")
    text = execute("01_road_to_the_top.ipynb", tmp_path)
    assert "3 of 3 members done" in text, "the table of the search stays in the cell's output"
    assert text.count("image/png") == 4, "photographs, the members, the ensemble and the costs"
    assert all(step in text for step in ("forecast the memory", "train 3 members", "write the submission"))
    written = pd.read_csv(tmp_path / "subm.csv", dtype=str)
    sample = pd.read_csv(small_digits / "sample_submission.csv", dtype=str)
    assert written.columns.tolist() == sample.columns.tolist()
    assert written["image_id"].tolist() == sample["image_id"].tolist()
    assert set(written["label"]) <= set("0123456789")
