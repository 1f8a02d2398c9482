"""Read and run the notebooks."""

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


def execute(name: str, folder: Path) -> str:
    """Run a notebook in a folder; return its output as text, with the type of each image."""
    notebook = read(FOLDER / name)
    NotebookClient(
        notebook, timeout=1800, record_timing=False, resources={"metadata": {"path": str(folder)}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert "error" not in {output.output_type for output in outputs}
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    images = [kind for output in outputs for kind in output.get("data", {}) if kind.startswith("image/")]
    return "\n".join([*texts, *images])
