"""What the machine and the process were doing, beside what the search was."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from tune_paddy.tracking.client import load_mlflow
from tune_paddy.tracking.store import Store

_log = logging.getLogger(__name__)


@contextmanager
def system_metrics(store: Store, run_id: str, *, interval: float = 10) -> Iterator[None]:
    """Record CPU, memory, disk, network and GPUs of this machine while the block runs.

    MLflow's own monitor does it, in a thread that ends with the block. The figures are the whole
    machine's, so they belong to the run of a search. Whatever fails in it, the block does not notice.

    Args:
        store: The record.
        run_id: The run that gets the `system/…` metrics; a continued run's go on where they ended.
        interval: Seconds between two readings.
    """
    monitor = None
    try:
        monitor = _monitor(store, run_id, interval)
        monitor.start()
    except Exception as error:  # figures of the machine are no reason to end a search
        _log.debug("no system metrics: %s", error)
    try:
        yield
    finally:
        if monitor is not None:
            with suppress(Exception):
                monitor.finish()


def process_metrics() -> dict[str, float]:
    """Figures of this process: memory in MiB (resident set), CPU time in seconds (user and system)."""
    process = psutil.Process()
    times = process.cpu_times()
    return {
        "system/process_rss_mib": process.memory_info().rss / 2**20,
        "system/process_cpu_seconds": times.user + times.system,
    }


def _monitor(store: Store, run_id: str, interval: float) -> Any:
    load_mlflow()
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor  # noqa: PLC0415 - late

    logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)

    class Persistent(SystemMetricsMonitor):
        """MLflow's monitor ends at the first failure, such as a database locked for long; this goes on."""

        def monitor(self) -> None:
            while not self._shutdown_event.is_set():
                with suppress(Exception):
                    super().monitor()  # type: ignore[no-untyped-call]
                self._shutdown_event.wait(self.sampling_interval)

    return Persistent(  # type: ignore[no-untyped-call]
        run_id, sampling_interval=interval, resume_logging=True, tracking_uri=store.tracking_uri
    )
