"""The notebook for Kaggle, run from a bundle as on Kaggle: another process, no record, no network."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from tests.conftest import Exported
from tests.notebooks.running import execute
from tune_paddy.serving.bundle import PREINSTALLED, WHEELS, bundle

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "kaggle_inference.ipynb"

IMPORTED = """
import json, sys
from importlib.metadata import packages_distributions
names = packages_distributions()
print(json.dumps(sorted({n for m in {m.partition('.')[0] for m in sys.modules} for n in names.get(m, [])})))
"""


def test_a_bundle_writes_the_same_submission_without_a_network(
    exported: Exported, tmp_path: Path, kernel: pytest.MonkeyPatch
) -> None:
    folder = bundle(exported.collected, tmp_path / "input" / "bundle")
    shutil.copytree(Path(exported.images[0]).parents[1], tmp_path / "input" / "digits")
    kernel.setenv("TUNE_PADDY_INPUT", str(tmp_path / "input"))
    kernel.setenv("TUNE_PADDY_MINUTES", "20")
    kernel.setenv("HF_HUB_OFFLINE", "1")
    notebook = nbformat.read(folder / NOTEBOOK.name, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(IMPORTED))
    execute(notebook, tmp_path, kernel_name="python3")
    written = pd.read_csv(tmp_path / "submission.csv", dtype=str)
    expected = pd.read_csv(exported.ensemble.folder / "submission.csv", dtype=str)
    pd.testing.assert_frame_equal(written, expected)
    # A kernel may send a line in several pieces.
    printed = "".join(output.text for output in notebook.cells[-1].outputs)
    imported = {normal(name) for name in json.loads(printed)}
    others = imported - {normal(name) for name in WHEELS} - PREINSTALLED - KERNELS
    assert not others - {"tune-paddy"}, "neither among the bundle's wheels nor preinstalled"


KERNELS = frozenset((
    "appnope", "asttokens", "comm", "debugpy", "decorator", "executing", "ipykernel", "ipython",
    "ipython-pygments-lexers", "jedi", "jupyter-client", "jupyter-core", "matplotlib-inline", "nest-asyncio2",
    "parso", "pexpect", "platformdirs", "prompt-toolkit", "ptyprocess", "pure-eval", "pygments", "pyzmq",
    "stack-data", "tornado", "traitlets", "wcwidth",
    "colorama",  # not needed, but used where it is installed, such as by the documentation's packages
))  # fmt: skip
"""Packages that every notebook's kernel imports."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_a_bundle_pins_its_wheels_and_describes_its_upload(exported: Exported, tmp_path: Path) -> None:
    folder = bundle(exported.collected, tmp_path / "mine")
    wheels = (folder / "wheels/requirements.txt").read_text().split()
    assert [name.partition("==")[0] for name in wheels] == list(WHEELS)
    assert all(re.fullmatch(r"[\w.-]+==\d[\w.]*", name) for name in wheels)
    assert "pip download -r wheels/requirements.txt -d wheels" in (folder / "README.md").read_text()
    assert json.loads((folder / "dataset-metadata.json").read_text())["id"].endswith("/tune-paddy-first")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_notebook_has_no_outputs_and_defines_nothing() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert not re.search(r"^\s*(def|class) ", cell.source, re.MULTILINE)
