import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tune_paddy.data.system.memory import MemoryRation, free_memory


@pytest.mark.parametrize(
    ("limit", "free"), [("1000000\n", 1_000_000 - 400_000 + 30_000), ("max\n", None), ("what?", None)]
)
def test_the_limit_of_a_container_counts_without_pages_of_files(
    limit: str, free: int | None, tmp_path: Path
) -> None:
    group = tmp_path / "sys/fs/cgroup/pod"
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/pod\n")
    (group / "memory.max").write_text(limit)
    (group / "memory.current").write_text("400000\n")
    (group / "memory.stat").write_text("anon 1\ninactive_file 30000\n")
    assert free_memory(tmp_path) == free or (free is None and free_memory(tmp_path) > 10 * 2**20)
    assert free_memory() <= psutil.virtual_memory().total


def test_threads_take_turns_so_that_their_parts_fit() -> None:
    ration, taken, most = MemoryRation(lambda: 100), [0], []
    lock = threading.Lock()

    def work(size: int) -> None:
        with ration.part() as part:
            part.take(size)
            with lock:
                taken[0] += size
                most.append(taken[0])
            time.sleep(0.001)  # others try meanwhile
            with lock:
                taken[0] -= size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [60, 30, 60, 100, 10, 50] * 20))
    assert len(most) == 120
    assert max(most) <= 100


def test_a_part_waits_for_room_while_a_smaller_one_is_given() -> None:
    ration = MemoryRation(lambda: 100)
    small, large = (threading.Thread(target=ration.take, args=(size,), daemon=True) for size in (30, 60))
    with ration.part() as part:
        part.take(60)
        small.start()
        small.join(60)
        large.start()
        large.join(0.1)
        assert (small.is_alive(), large.is_alive()) == (False, True)
    large.join(60)
    assert not large.is_alive()


def test_free_memory_is_measured_once_a_second() -> None:
    now, measured = [0.0], []

    def measure() -> int:
        measured.append(now[0])
        return 100

    ration = MemoryRation(measure, lambda: now[0])
    for tenth in range(25):
        now[0] = tenth / 10
        with ration.part() as part:
            part.take(10)
    assert measured == [0.0, 1.0, 2.0]


def test_a_part_larger_than_the_whole_is_given_alone() -> None:
    ration = MemoryRation(lambda: 100)
    with ration.part() as part:
        part.take(500)
        other = threading.Thread(target=ration.take, args=(1,), daemon=True)
        other.start()
        other.join(0.1)
        assert other.is_alive()
    other.join(60)
    assert not other.is_alive()


def test_a_part_is_given_back_after_an_error() -> None:
    ration = MemoryRation(lambda: 100)
    with suppress(ZeroDivisionError), ration.part() as part:
        part.take(100)
        _ = 1 / 0
    with ration.part() as part:
        part.take(100)
