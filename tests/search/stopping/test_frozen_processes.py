import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tune_paddy.search.stopping.frozen_processes import GRACE, FrozenWatch
from tune_paddy.search.stopping.stall_watch import STALLED, Heartbeat, StallWatch, stall_reason

TRAIN = """
import sys, time
from pathlib import Path
from tune_paddy.search.stopping.stall_watch import StallWatch
with StallWatch(1000, Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(600)
"""
LIMIT = 60 * 1000.0


@pytest.fixture
def member(tmp_path: Path) -> Path:
    return tmp_path / "0000-net"


@pytest.fixture
def trained(member: Path) -> Iterator[subprocess.Popen[str]]:
    """Process of a member that makes no progress."""
    with subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(member)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_frozen_process_is_ended_once_it_could_not_end_itself(
    member: Path, trained: subprocess.Popen[str]
) -> None:
    seconds = iter([0.0, LIMIT + GRACE, LIMIT + GRACE + 1])
    watch = FrozenWatch(member.parent, clock=lambda: next(seconds))
    trained.send_signal(signal.SIGSTOP)
    watch.check()
    watch.check()
    assert trained.poll() is None
    watch.check()
    assert trained.wait(60) == -signal.SIGKILL
    assert stall_reason(member) == (
        "made no progress for longer than `stall_minutes`; its process was stopped or could not run"
    )


def test_a_process_that_makes_progress_is_left_alone(member: Path, trained: subprocess.Popen[str]) -> None:
    """Its clock may be wrong: only that the file changes counts."""
    seconds = iter([0.0, LIMIT + GRACE + 1, LIMIT + GRACE + 2])
    watch = FrozenWatch(member.parent, clock=lambda: next(seconds))
    for touched in (10**9, 9 * 10**8, 9 * 10**8):
        (member / STALLED).touch()

        os.utime(member / STALLED, ns=(touched, touched))
        watch.check()
    assert trained.poll() is None


@pytest.mark.parametrize(
    "line", ["", "{", '{"host": "far", "pid": 1, "seconds": 0}\n', Heartbeat("far", 1, 0).line()]
)
def test_a_process_of_another_machine_or_an_unfinished_file_is_left_alone(member: Path, line: str) -> None:
    """No process is signalled, and the file stays as it is."""
    member.mkdir()
    (member / STALLED).write_text(line)
    seconds = iter([0.0, 1e9])
    watch = FrozenWatch(member.parent, clock=lambda: next(seconds))
    watch.check()
    watch.check()
    assert (member / STALLED).read_text() == line


def test_a_process_that_this_one_did_not_start_is_left_alone(member: Path) -> None:
    """The id may by now be that of another program."""
    with StallWatch(1000, member):
        seconds = iter([0.0, 1e9])
        watch = FrozenWatch(member.parent, clock=lambda: next(seconds))
        watch.check()
        watch.check()
    assert not (member / STALLED).exists()
