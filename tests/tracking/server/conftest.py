"""A record on an MLflow server with PostgreSQL, for the tests of this folder."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import as_before, call  # noqa: F401 fixtures for the tests of this folder
from tests.tracking.server.processes import MlflowServer, Postgres, postgres_tools


@dataclass(frozen=True)
class Servers:
    """A running MLflow server and its database."""

    database: Postgres
    mlflow: MlflowServer


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL and MLflow's server; the tests may restart both."""
    if postgres_tools() is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg", reason="psycopg, PostgreSQL's driver, is not installed")
    root = Path(tempfile.mkdtemp(prefix="tune-paddy-servers-"))
    root.chmod(0o755)  # for PostgreSQL's user
    (root / "postgres").mkdir()
    database = Postgres(root / "postgres")
    database.start()
    server = MlflowServer(root, database.uri, str(root / "artifacts"))
    try:
        server.start()
        yield Servers(database, server)
    finally:
        server.kill()
        database.stop()
        shutil.rmtree(root)
