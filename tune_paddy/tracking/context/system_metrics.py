"""Metrics of the machine and the process during a search."""

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

    MLflow's monitor does it, in a thread that ends with the block. The metrics are the whole machine's,
    so they belong to the run of a search. A failure of the monitor does not affect the block.

    Args:
        store: The record.
        run_id: Run that gets the `system/…` metrics; a resumed run continues their steps.
        interval: Time between two readings, in seconds.
    """
    monitor = None
    try:
        monitor = _monitor(store, run_id, interval)
        monitor.start()
    except Exception as error:  # missing machine metrics must not end a search
        _log.debug("no system metrics: %s", error)
    try:
        yield
    finally:
        if monitor is not None:
            with suppress(Exception):
                monitor.finish()


def process_metrics() -> dict[str, float]:
    """Return metrics of this process: resident memory in MiB, CPU time (user and system) in seconds."""
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
        """MLflow's monitor, restarted after a failure, such as a database that is locked for long."""

        def monitor(self) -> None:
            while not self._shutdown_event.is_set():
                with suppress(Exception):
                    super().monitor()  # type: ignore[no-untyped-call]
                self._shutdown_event.wait(self.sampling_interval)

    return Persistent(  # type: ignore[no-untyped-call]
        run_id, sampling_interval=interval, resume_logging=True, tracking_uri=store.tracking_uri
    )
