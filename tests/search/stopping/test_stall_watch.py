import subprocess
import sys
from pathlib import Path

from tune_paddy.search.stopping.stall_watch import STALLED, StallWatch, stall_reason

HANG = """
import sys, time
from pathlib import Path
from tune_paddy.search.stopping.stall_watch import StallWatch

def wait_for_ever():
    time.sleep(600)

with StallWatch(0.05, Path(sys.argv[1])):
    wait_for_ever()
"""


def test_a_process_that_hangs_is_ended_and_leaves_the_place_where_it_hung(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HANG, str(tmp_path)], timeout=600, check=False)
    assert done.returncode == 1
    reason = stall_reason(tmp_path)
    assert reason
    assert "no progress for longer than `stall_minutes`; it hung in wait_for_ever" in reason


def test_a_process_that_makes_progress_is_not_ended_and_leaves_no_file(tmp_path: Path) -> None:
    with StallWatch(1000, tmp_path) as watch:
        watch.alive()
        assert (tmp_path / STALLED).exists()
        assert stall_reason(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_without_a_limit_nothing_is_watched(tmp_path: Path) -> None:
    with StallWatch(None, tmp_path) as watch:
        watch.alive()
    assert list(tmp_path.iterdir()) == []


def test_the_timer_is_reset_once_a_second_at_most(tmp_path: Path) -> None:
    seconds = iter([0.0, 0.0, 0.5, 1.5, 1.5])
    with StallWatch(1000, tmp_path, clock=lambda: next(seconds)) as watch:
        watch.alive()
        watch.alive()
    assert list(seconds) == []
