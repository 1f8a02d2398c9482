import threading
import time
from types import SimpleNamespace

import psutil
import pytest

from tune_paddy.tracking.context.system_metrics import process_metrics, system_metrics
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store

MONITOR = "SystemMetricsMonitor"


def wait_for(condition: object, seconds: float = 300) -> bool:
    """Whether a condition becomes true within some seconds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.02)
    return bool(condition())  # type: ignore[operator]


def steps(store: Store, run_id: str) -> list[int]:
    """Steps at which the CPU was recorded."""
    history = store.client.get_metric_history(run_id, "system/cpu_utilization_percentage")
    return [point.step for point in history]


def test_the_machine_is_recorded_while_the_block_runs(store: Store) -> None:
    """Points are logged, the thread ends with the block, and a resumed search continues the steps."""
    run_id = start_search(store, name="night")
    with system_metrics(store, run_id, interval=0.05):
        assert wait_for(lambda: steps(store, run_id))
    assert MONITOR not in {thread.name for thread in threading.enumerate()}
    before = steps(store, run_id)
    with system_metrics(store, run_id, interval=0.05):
        assert wait_for(lambda: len(steps(store, run_id)) > len(before))
    assert len(set(steps(store, run_id))) == len(steps(store, run_id))


def test_a_failing_reading_neither_ends_the_search_nor_the_monitor(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor that fails is read again; nothing is raised or warned of."""
    run_id = start_search(store, name="night")
    failures = iter([OSError("sensor")] * 2)
    real = psutil.cpu_percent

    def sometimes() -> float:
        failure = next(failures, None)
        if failure:
            raise failure
        return real()

    monkeypatch.setattr(psutil, "cpu_percent", sometimes)
    with system_metrics(store, run_id, interval=0.05):
        assert wait_for(lambda: steps(store, run_id))
    assert next(failures, None) is None


def test_a_search_runs_on_a_machine_that_cannot_be_monitored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container without a network card has no network counters."""
    run_id = start_search(store, name="night")
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)
    with system_metrics(store, run_id, interval=0.05):
        ran = True
    assert ran
    assert steps(store, run_id) == []


def test_the_blocks_own_error_is_raised(store: Store) -> None:
    """Only failures of the monitor are ignored."""
    run_id = start_search(store, name="night")
    with pytest.raises(ZeroDivisionError), system_metrics(store, run_id, interval=0.05):
        raise ZeroDivisionError
    assert MONITOR not in {thread.name for thread in threading.enumerate()}


def test_process_metrics_are_memory_and_cpu_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is in MiB; CPU time is the sum of user and system, in seconds."""
    times = SimpleNamespace(user=3.0, system=1.5)
    monkeypatch.setattr(psutil.Process, "cpu_times", lambda _: times)
    monkeypatch.setattr(psutil.Process, "memory_info", lambda _: SimpleNamespace(rss=5 * 2**20))
    assert process_metrics() == {"system/process_rss_mib": 5.0, "system/process_cpu_seconds": 4.5}
