import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from tune_paddy.tracking.context.provenance import git_revision, is_gone, source_tags, this_process


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    (tmp_path / "file").write_text("one")
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "file"], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run([git, *command], cwd=tmp_path, check=True)
    return tmp_path


def test_the_commit_is_named_and_changes_are_marked(repository: Path) -> None:
    """A record that names a commit must not claim code that was not in it."""
    revision = git_revision(repository)
    assert revision is not None
    assert len(revision) == 40
    (repository / "file").write_text("two")
    assert git_revision(repository) == f"{revision}-dirty"
    assert source_tags(revision)["mlflow.source.git.commit"] == revision


def test_no_program_that_a_repository_names_is_run(repository: Path) -> None:
    """A repository from elsewhere may say what watches its files."""
    trace = repository / "trace"
    watcher = repository / "watcher"
    watcher.write_text(f"#!/bin/sh\ntouch '{trace}'\n")
    watcher.chmod(0o700)
    git = str(shutil.which("git"))
    subprocess.run([git, "config", "core.fsmonitor", str(watcher)], cwd=repository, check=True)
    assert git_revision(repository)
    assert not trace.exists()
    subprocess.run([git, "status"], cwd=repository, check=True, capture_output=True)
    assert trace.exists(), "else this test would prove nothing"


def test_without_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder need not be a repository, nor git be installed."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert git_revision(tmp_path) is None
    assert "mlflow.source.git.commit" not in source_tags(None)


def test_a_living_process_is_not_gone() -> None:
    """This one lives."""
    assert not is_gone(this_process())


def test_setting_the_clock_ends_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start is counted from the machine's own, which both move with the clock."""
    name = this_process()
    boot, create = psutil.boot_time, psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot() - 3600)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create(self) - 3600)
    assert not is_gone(name)


@pytest.mark.parametrize("name", ["", "nonsense", "::", "host"])
def test_a_broken_name_is_nobodys(name: str) -> None:
    """A run without a proper process tag has no process to wait for."""
    assert is_gone(name)
