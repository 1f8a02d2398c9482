from pathlib import Path

import pytest

from tests.conftest import Finished
from tests.notebooks.running import execute


def test_the_notebook_explores_a_search(
    finished: Finished, kernel: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel.setenv("MLFLOW_TRACKING_URI", finished.store.tracking_uri)
    kernel.setenv("TUNE_PADDY_SEARCH", "first")
    text = execute("02_explore_a_search.ipynb", tmp_path)
    assert "0000-resnet-test_resnet-32" in text or "0000-test_resnet-32" in text
    assert "error_rate" in text
    assert not (tmp_path / "mlflow.db").exists()
