"""A record on an MLflow server with PostgreSQL and S3, for the tests of this folder."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import as_before, call  # noqa: F401 fixtures for the tests of this folder
from tests.tracking.server.processes import MlflowServer, ObjectStore, Postgres, postgres_tools
from tune_paddy.tracking.store import Store, open_store


@dataclass(frozen=True)
class Servers:
    """A running MLflow server, its database and its storage."""

    database: Postgres
    storage: ObjectStore
    mlflow: MlflowServer


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL, S3 and MLflow's server; the tests may restart the first and the last."""
    if postgres_tools() is None:
        pytest.skip("PostgreSQL is not installed")
    for package in ("psycopg", "moto", "boto3"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    root = Path(tempfile.mkdtemp(prefix="tune-paddy-servers-"))
    root.chmod(0o755)  # for PostgreSQL's user
    (root / "postgres").mkdir()
    database = Postgres(root / "postgres")
    storage = ObjectStore(root)
    server = None
    try:
        database.start()
        storage.start()
        server = MlflowServer(root, database.uri, f"s3://{storage.bucket}", storage.environment)
        server.start()
        yield Servers(database, storage, server)
    finally:
        if server is not None:
            server.kill()
        storage.kill()
        database.stop()
        shutil.rmtree(root)


@pytest.fixture
def on_servers(servers: Servers, tmp_path: Path) -> Store:
    """The record on the server, with an experiment."""
    return open_store(servers.mlflow.uri, experiment="digits", artifact_root=tmp_path, create=True)
