"""Read and run the notebooks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"


def read(path: Path) -> Any:
    """Read and validate a notebook."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def execute(notebook: Any, folder: Path, **options: Any) -> None:
    """Run a notebook in a folder, in a process of its own; its cells get their outputs."""
    resources = {"metadata": {"path": str(folder)}}
    patience = {"timeout": 1800, "startup_timeout": 1800}
    NotebookClient(notebook, record_timing=False, resources=resources, **patience, **options).execute()


def text_of(cells: Sequence[Any]) -> str:
    """Return the output of cells that ran without an error as text, with the type of each image."""
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert not [output for output in outputs if output.output_type == "error"]
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    images = [kind for output in outputs for kind in output.get("data", {}) if kind.startswith("image/")]
    return "\n".join([*texts, *images])
