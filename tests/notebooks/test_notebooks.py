"""The notebooks: stored without outputs, thin, and run from beginning to end on the digits."""

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from tests.conftest import Finished, rehearsed
from tune_paddy.data.space import find_space
from tune_paddy.training.architectures import stand_in

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]


def read(path: Path) -> Any:
    """A notebook, known to be one."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


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


def execute(name: str, folder: Path) -> str:
    """Run a notebook in a folder; return what it printed and showed, as text."""
    notebook = read(FOLDER / name)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert "error" not in {output.output_type for output in outputs}
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join(texts)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The environment that a notebook's process gets."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("TUNE_PADDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return monkeypatch


def test_a_search_is_explored(finished: Finished, kernel: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kernel.setenv("MLFLOW_TRACKING_URI", finished.store.tracking_uri)
    kernel.setenv("TUNE_PADDY_SEARCH", "first")
    text = execute("02_explore_a_search.ipynb", tmp_path)
    assert "0000-resnet-test_resnet-32" in text or "0000-test_resnet-32" in text
    assert "error_rate" in text
    assert not (tmp_path / "mlflow.db").exists()


def test_the_road_to_the_top_is_gone_from_images_to_submission(
    small_digits: Path, kernel: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of its six members the first three, for an epoch each; tiny ones also where memory is forecast."""
    text = find_space("road_to_the_top").read_text().partition("  - name: swinv2-squish")[0]
    for arch in set(re.findall(r"arch: (\S+)", text)):
        text = text.replace(arch, stand_in(arch))
    (tmp_path / "short.yaml").write_text(rehearsed(text))
    kernel.setenv("TUNE_PADDY_DATA", str(small_digits))
    kernel.setenv("TUNE_PADDY_SPACE", "short.yaml")
    execute("01_road_to_the_top.ipynb", tmp_path)
    written = pd.read_csv(tmp_path / "subm.csv", dtype=str)
    sample = pd.read_csv(small_digits / "sample_submission.csv", dtype=str)
    assert written["image_id"].tolist() == sample["image_id"].tolist()
    assert set(written["label"]) <= set("0123456789")
