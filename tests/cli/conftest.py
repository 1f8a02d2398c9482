"""Fixture that runs the command line in the test's process, which saves the imports."""

import importlib  # `tune_paddy.cli.app` as an attribute is the app, not its module
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tune_paddy.cli import main
from tune_paddy.data.system.progress.lines import Silence

Call = Callable[..., str]


@pytest.fixture(scope="module", autouse=True)
def _one_schema(one_schema: None) -> None:
    """Create the records of all these tests quickly; tests of the record itself let MLflow do it."""


class _NoSilence(Silence):
    """Silence that is never too long: on a busy machine lines of progress would mix with the output."""

    @property
    def seconds(self) -> float:
        return 0.0


@pytest.fixture
def as_before() -> Iterator[None]:
    """Restore the variables that the program sets for its child processes."""
    variables = ("PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
    known = {name: os.environ[name] for name in variables if name in os.environ}
    forbidden, prefix = sys.dont_write_bytecode, sys.pycache_prefix
    yield
    sys.dont_write_bytecode, sys.pycache_prefix = forbidden, prefix
    for name in variables:
        os.environ.pop(name, None)
    os.environ.update(known)


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    footprints: Path,
    as_before: None,  # noqa: ARG001 for its effect
) -> Call:
    """Run `tune-paddy` in this process and in an empty folder, without a terminal; return its output."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "footprints").symlink_to(footprints)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.import_module("tune_paddy.cli.app"), "silence", _NoSilence())
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("TUNE_PADDY_CACHE", str(cache))
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)

    def run_here(*arguments: str, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["tune-paddy", *arguments])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        text = printed.out + printed.err
        assert (end.value.code or 0) == status, text
        assert "Traceback" not in text
        return text

    return run_here
