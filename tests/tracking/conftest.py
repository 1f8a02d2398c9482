"""One initialised database for all tests of the record: making MLflow's schema takes seconds."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tune_paddy.core.predictions import Predictions
from tune_paddy.tracking.client import load_mlflow
from tune_paddy.tracking.store import Store, open_store


@pytest.fixture(scope="session", autouse=True)
def _migrations_read_once() -> Iterator[None]:
    """Let MLflow read its 68 files of migrations once, not each time that a test opens a database."""
    load_mlflow()
    from mlflow.store.db import utils  # noqa: PLC0415 after its environment is set

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_get_latest_schema_revision", cache(utils._get_latest_schema_revision))
        yield


@pytest.fixture(scope="session")
def initialised_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's schema and no runs; tests take copies."""
    folder = tmp_path_factory.mktemp("initialised")
    path = folder / "mlflow.db"
    open_store(f"sqlite:///{path}", experiment="template", artifact_root=folder, create=True)
    return path


@pytest.fixture
def database(initialised_database: Path, tmp_path: Path) -> Path:
    """A database of this test's own, with the schema."""
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(initialised_database)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    return path


@pytest.fixture
def store(database: Path) -> Store:
    """A store of this test's own, open for the experiment `digits`."""
    root = database.parent / "runs" / "artifacts"
    return open_store(f"sqlite:///{database}", experiment="digits", artifact_root=root, create=True)


@pytest.fixture(scope="session")
def make_predictions() -> Callable[..., Predictions]:
    """Predictions on 6 select and 4 test images of 3 classes, different for each seed."""

    def make(seed: int = 0, split: str = "abc") -> Predictions:
        rng = np.random.default_rng(seed)

        def probs(rows: int) -> np.ndarray:
            return rng.dirichlet(np.ones(3), rows).astype(np.float32)

        return Predictions(
            classes=("blast", "normal", "tungro"),
            split=split,
            select_ids=np.array([f"select {i}.jpg" for i in range(6)]),
            select_labels=np.array([0, 1, 2, 0, 1, 2], np.int64),
            test_ids=np.array([f"täst-{i}\n.jpg" for i in range(4)]),
            select={"plain": probs(6), "tta": probs(6)},
            test={"plain": probs(4), "tta": probs(4)},
        )

    return make
