import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tune_paddy.search.ray.reaper import reaped

LEADER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, process_group=0)
print(child.pid, flush=True)
input()
"""
"""Leader of a session with a child in another process group, as Ray's workers are."""

DRIVER = """
import sys, time
from pathlib import Path
from tune_paddy.search.ray.reaper import reaped
with reaped([int(sys.argv[1])], Path(sys.argv[2])):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def family() -> Iterator[tuple[psutil.Process, psutil.Process]]:
    """Leader of a session of its own and its child."""
    with subprocess.Popen(
        [sys.executable, "-c", LEADER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    ) as leader:
        assert leader.stdout is not None
        child = psutil.Process(int(leader.stdout.readline()))
        yield psutil.Process(leader.pid), child
        leader.kill()


def ended(*processes: psutil.Process) -> bool:
    """Wait until processes have ended; zombies have."""
    _, left = psutil.wait_procs(processes, timeout=60)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in left)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "ray"
    (folder / "logs").mkdir(parents=True)
    return folder


def test_a_killed_driver_leaves_no_process_and_no_file(
    family: tuple[psutil.Process, psutil.Process], files: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(family[0].pid), str(files)], stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "ready\n"
        (reaper,) = psutil.Process(driver.pid).children()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            reaper.send_signal(number)
        driver.kill()
    assert ended(*family, reaper)
    assert not files.exists()


def test_the_end_of_the_block_ends_the_processes(
    family: tuple[psutil.Process, psutil.Process], files: Path
) -> None:
    with reaped([family[0].pid], files):
        assert files.exists()
    assert ended(*family)
    assert not files.exists()


def test_processes_of_this_session_are_left_alone(files: Path) -> None:
    """Without a session of their own, as with a later Ray, other programs might be ended."""
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process,
        reaped([process.pid], files),
    ):
        assert os.getsid(process.pid) == os.getsid(0)
    assert process.returncode is not None
    assert process.returncode >= 0, "it read the end of its input, and was not killed"
    assert files.exists()
