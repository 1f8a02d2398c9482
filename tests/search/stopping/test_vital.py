import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tune_paddy.core.errors import SearchInterruptedError, TunePaddyError
from tune_paddy.search.ray.internals import own_processes
from tune_paddy.search.stopping import vital
from tune_paddy.search.stopping.interruption import Interruption, interruptible
from tune_paddy.search.stopping.vital import NEEDED, Vital, ray_processes, vital_files, watched


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vital, "SECONDS", 0.01)


@contextmanager
def process_of_ray(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """Replace a process of Ray by another: the end of the tests' own Ray would end this process, too."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        processes = {"log_monitor": psutil.Process(), kind: psutil.Process(process.pid)}
        monkeypatch.setattr(vital, "own_processes", lambda: processes)
        yield process
        process.kill()


def unexpected(error: TunePaddyError) -> None:
    raise AssertionError("the main thread reacts by itself") from error


@contextmanager
def searching(watch: list[Vital]) -> Iterator[Interruption]:
    """Watch what is vital to a search that does nothing."""
    interruption = Interruption()
    with interruptible(interruption, lambda line: None), watched(watch, interruption, unexpected):
        yield interruption


@pytest.mark.usefixtures("ray_running")
def test_the_watched_processes_are_the_raylet_and_the_gcs() -> None:
    found = own_processes()
    assert {kind: found[kind].name() for kind in NEEDED} == {"raylet": "raylet", "gcs_server": "gcs_server"}


@pytest.mark.parametrize("kind", NEEDED)
def test_a_search_that_loses_a_process_of_ray_ends_with_a_message_and_exit_status_1(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_it() -> None:
        with process_of_ray(kind, monkeypatch) as process, searching(ray_processes()):
            process.kill()
            time.sleep(600)

    with pytest.raises(SearchInterruptedError, match=r"was killed or crashed .*can be resumed") as error:
        lose_it()
    assert NEEDED[kind] in str(error.value)
    assert error.value.exit_status == 1
    assert error.value.at_once


def test_a_process_of_ray_that_ends_after_the_search_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with process_of_ray("raylet", monkeypatch), searching(ray_processes()) as interruption:
        pass
    assert interruption.failure is None


@pytest.mark.parametrize("resumable", [True, False])
@pytest.mark.parametrize("deleted", ["night/split.json", "night", ""])
def test_a_search_whose_files_are_deleted_ends_at_once_and_names_the_first_folder_that_is_gone(
    deleted: str, resumable: bool, tmp_path: Path
) -> None:
    needed = tmp_path / "runs" / "night" / "split.json"
    needed.parent.mkdir(parents=True)
    needed.touch()
    gone = tmp_path / "runs" / deleted

    def lose_it() -> None:
        with searching(vital_files([needed], resumable=resumable)):
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
            time.sleep(600)

    with pytest.raises(TunePaddyError) as error:
        lose_it()
    can_be_resumed = "; the search can be resumed" if resumable else ""
    assert str(error.value) == f"{gone}: deleted while the search ran{can_be_resumed}"
    assert isinstance(error.value, SearchInterruptedError) == resumable
    assert error.value.exit_status == 1


def test_a_disk_that_does_not_answer_is_not_taken_for_deleted_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(path: Path) -> None:
        raise OSError(116, "Stale file handle", str(path))

    (file,) = vital_files([tmp_path, tmp_path / "never-there"], resumable=True)
    monkeypatch.setattr(Path, "stat", stale)
    assert file.loss() is None


def test_a_main_thread_that_waits_in_rays_library_is_left_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A main thread in a library's loop does not run signal handlers: another thread reports and leaves."""

    class Deaf(Interruption):
        def fail(self, failure: str, *, resumable: bool = True) -> None:  # noqa: ARG002 like that of a search
            self.failure = failure

    monkeypatch.setattr(vital, "GRACE", 0.01)
    left = queue.SimpleQueue[TunePaddyError]()
    with (
        process_of_ray("gcs_server", monkeypatch) as process,
        watched(ray_processes(), Deaf(), left.put),
    ):
        process.kill()
        error = left.get(timeout=60)
    assert "GCS" in str(error)
    assert "can be resumed" in str(error)
