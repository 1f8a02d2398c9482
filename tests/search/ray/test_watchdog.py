import queue
import subprocess
import sys
import time

import psutil
import pytest

from tune_paddy.core.errors import SearchInterruptedError
from tune_paddy.search.interruption import Interruption, interruptible
from tune_paddy.search.ray import watchdog
from tune_paddy.search.ray.internals import own_processes
from tune_paddy.search.ray.watchdog import NEEDED, watched_ray


@pytest.mark.usefixtures("ray_running")
def test_the_watched_processes_are_the_raylet_and_the_gcs() -> None:
    found = own_processes()
    assert {kind: found[kind].name() for kind in NEEDED} == {"raylet": "raylet", "gcs_server": "gcs_server"}


def unexpected(error: SearchInterruptedError) -> None:
    raise AssertionError("the main thread reacts by itself") from error


@pytest.mark.parametrize("kind", NEEDED)
def test_a_search_that_loses_a_process_of_ray_ends_with_a_message_and_exit_status_1(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killing those of the tests' own Ray would end this process, too, so another process replaces it."""
    monkeypatch.setattr(watchdog, "SECONDS", 0.01)

    def lose_it() -> None:
        interruption = Interruption()
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            watched = {"log_monitor": psutil.Process(), kind: psutil.Process(process.pid)}
            monkeypatch.setattr(watchdog, "own_processes", lambda: watched)
            with interruptible(interruption, lambda line: None), watched_ray(interruption, unexpected):
                process.kill()
                time.sleep(600)

    with pytest.raises(SearchInterruptedError, match=r"was killed or crashed .*can be resumed") as error:
        lose_it()
    assert NEEDED[kind] in str(error.value)
    assert error.value.exit_status == 1
    assert error.value.at_once


def test_a_process_of_ray_that_ends_after_the_search_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    interruption = Interruption()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        monkeypatch.setattr(watchdog, "own_processes", lambda: {"raylet": psutil.Process(process.pid)})
        with interruptible(interruption, lambda line: None), watched_ray(interruption, unexpected):
            pass
        process.kill()
    assert interruption.failure is None


def test_a_main_thread_that_waits_in_rays_library_is_left_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A main thread in a library's loop does not run signal handlers: another thread reports and leaves."""
    monkeypatch.setattr(watchdog, "SECONDS", 0.01)
    monkeypatch.setattr(watchdog, "GRACE", 0.01)
    interruption, left = Interruption(), queue.SimpleQueue[SearchInterruptedError]()
    monkeypatch.setattr(interruption, "fail", lambda failure: None)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        monkeypatch.setattr(watchdog, "own_processes", lambda: {"gcs_server": psutil.Process(process.pid)})
        with watched_ray(interruption, left.put):
            process.kill()
            error = left.get(timeout=60)
    assert "GCS" in str(error)
    assert "can be resumed" in str(error)
