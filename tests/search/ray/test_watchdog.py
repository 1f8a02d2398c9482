import subprocess
import sys
import time

import psutil
import pytest

from tune_paddy.core.errors import SearchInterruptedError
from tune_paddy.search.interruption import Interruption, interruptible
from tune_paddy.search.ray import watchdog
from tune_paddy.search.ray.internals import own_raylet
from tune_paddy.search.ray.watchdog import watched_raylet


@pytest.mark.usefixtures("ray_running")
def test_the_watched_process_is_the_raylet() -> None:
    found = own_raylet()
    assert found is not None
    assert found.name() == "raylet"


def test_a_search_whose_raylet_dies_ends_with_a_message_and_exit_status_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killing the tests' own raylet would end this process, too, so another process replaces it."""
    monkeypatch.setattr(watchdog, "SECONDS", 0.01)

    def lose_raylet() -> None:
        interruption = Interruption()
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            monkeypatch.setattr(watchdog, "own_raylet", lambda: psutil.Process(process.pid))
            with interruptible(interruption, lambda line: None), watched_raylet(interruption):
                process.kill()
                time.sleep(600)

    with pytest.raises(SearchInterruptedError, match=r"raylet.*was killed.*can be resumed") as error:
        lose_raylet()
    assert error.value.exit_status == 1
    assert error.value.at_once


def test_a_raylet_that_ends_after_the_search_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    interruption = Interruption()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        monkeypatch.setattr(watchdog, "own_raylet", lambda: psutil.Process(process.pid))
        with interruptible(interruption, lambda line: None), watched_raylet(interruption):
            pass
        process.kill()
    assert interruption.failure is None
