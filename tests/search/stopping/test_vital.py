import queue
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from tune_paddy.core.errors import SearchInterruptedError, TunePaddyError
from tune_paddy.search.ray.internals import own_processes
from tune_paddy.search.stopping import vital
from tune_paddy.search.stopping.interruption import Interruption, interruptible
from tune_paddy.search.stopping.vital import (
    CHECKS,
    NEEDED,
    Vital,
    ray_processes,
    require_all,
    vital_database,
    vital_files,
    watched,
)


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
    words = "is gone: it was deleted, moved or unmounted while the search ran"
    assert str(error.value) == f"{gone} {words}{can_be_resumed}"
    assert isinstance(error.value, SearchInterruptedError) == resumable
    assert error.value.exit_status == 1


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_file_that_is_replaced_is_missed_only_if_it_stays_away(comes_back: bool, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    path.touch()
    (file,) = vital_files([path, tmp_path / "never-there"], resumable=True)
    path.unlink()
    losses = [file.loss() for _ in range(CHECKS - 1)]
    if comes_back:
        path.touch()
    assert losses == [None] * (CHECKS - 1)
    assert (file.loss() is None) == comes_back


def test_a_deleted_database_that_sqlite_makes_again_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
        found = vital_database(path)
        assert found.loss() is None
        path.unlink()
        with closing(sqlite3.connect(path)) as again:
            again.execute("PRAGMA user_version = 1")
        losses = [found.loss() for _ in range(CHECKS)]
    assert path.exists()
    assert losses[:-1] == [None] * (CHECKS - 1)
    assert losses[-1] == f"{path} is gone: it was deleted, moved or unmounted while the search ran"


@pytest.mark.parametrize(("resumable", "kind"), [(True, SearchInterruptedError), (False, TunePaddyError)])
def test_a_loss_just_before_the_end_of_a_search_is_told(
    resumable: bool, kind: type[TunePaddyError], tmp_path: Path
) -> None:
    path = tmp_path / "split.json"
    path.touch()
    files = vital_files([path], resumable=resumable)
    require_all(files, Interruption())
    path.unlink()
    with pytest.raises(kind, match=f"^{path} is gone") as error:
        require_all(files, Interruption())
    assert type(error.value) is kind
    assert error.value.exit_status == 1


def test_what_gives_no_answer_is_not_lost_and_does_not_end_the_watch() -> None:
    answers = iter([OSError(116, "Stale file handle"), psutil.AccessDenied(1), None, "it is gone"])

    def loss() -> str | None:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def lose_it() -> None:
        with searching([Vital(loss, resumable=True)]):
            time.sleep(600)

    with pytest.raises(SearchInterruptedError, match="it is gone"):
        lose_it()


def test_a_check_that_never_answers_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vital, "GRACE", 0.01)
    asked, over = threading.Event(), threading.Event()

    def loss() -> None:
        asked.set()
        over.wait(600)

    with searching([Vital(loss, resumable=True)]) as interruption:
        asked.wait(60)
    over.set()
    assert interruption.failure is None


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
