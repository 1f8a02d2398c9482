import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.faults.harness import wait_for
from tune_paddy.tracking.context.provenance import git_revision, is_gone, source_tags, this_process


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)  # a hook that runs the tests names its own repository
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "file").write_text("one")
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "file"], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run([git, *command], cwd=tmp_path, check=True)
    return tmp_path


def test_the_commit_is_named_and_changes_are_marked(repository: Path) -> None:
    """A recorded commit without `-dirty` must contain all the code that ran."""
    revision = git_revision(repository)
    assert revision is not None
    assert len(revision) == 40
    (repository / "file").write_text("two")
    assert git_revision(repository) == f"{revision}-dirty"
    assert source_tags(revision)["mlflow.source.git.commit"] == revision


def test_no_program_that_a_repository_names_is_run(repository: Path) -> None:
    """An untrusted repository may name a program that monitors its files."""
    trace = repository / "trace"
    watcher = repository / "watcher"
    watcher.write_text(f"#!/bin/sh\ntouch '{trace}'\n")
    watcher.chmod(0o700)
    git = str(shutil.which("git"))
    subprocess.run([git, "config", "core.fsmonitor", str(watcher)], cwd=repository, check=True)
    assert git_revision(repository)
    assert not trace.exists()
    subprocess.run([git, "status"], cwd=repository, check=True, capture_output=True)
    assert trace.exists(), "git itself must run the program, otherwise this test proves nothing"


def test_without_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder may be outside a repository, though a hook names its own, and git may be missing."""
    monkeypatch.setenv("GIT_DIR", str(Path(__file__).parents[3] / ".git"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert git_revision(tmp_path) is None
    assert "mlflow.source.git.commit" not in source_tags(None)


def test_a_running_process_is_not_gone() -> None:
    assert not is_gone(this_process())


def test_a_process_that_ended_and_that_nobody_collected_is_gone() -> None:
    """The first process of a container may collect no orphans: they stay as zombies."""
    program = "from tune_paddy.tracking.context.provenance import this_process; print(this_process())"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        name = process.stdout.read().strip()
        wait_for(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, 600)
        assert is_gone(name)


def test_a_process_is_not_gone_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its start is relative to the machine's boot; setting the clock moves both."""
    name = this_process()
    boot, create = psutil.boot_time, psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot() - 3600)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create(self) - 3600)
    assert not is_gone(name)


@pytest.mark.parametrize("name", ["", "nonsense", "::", "host"])
def test_an_invalid_name_counts_as_gone(name: str) -> None:
    """A run without a valid process tag has no process to wait for."""
    assert is_gone(name)
