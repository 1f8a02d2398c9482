"""Ray and MLflow send no statistics, tested inside a worker."""

import pytest
import ray


@pytest.mark.usefixtures("ray_running")
def test_a_worker_sends_no_usage_statistics_and_no_telemetry() -> None:
    @ray.remote
    def sends() -> tuple[bool, bool]:
        """Import this package, then MLflow, as a trial does."""
        import ray._common.usage.usage_lib as usage  # noqa: PLC0415 in the worker

        import tune_paddy.search  # noqa: F401, PLC0415
        from tune_paddy.tracking.client import load_mlflow  # noqa: PLC0415

        load_mlflow()
        from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY  # noqa: PLC0415

        return usage.usage_stats_enabled(), not MLFLOW_DISABLE_TELEMETRY.get()

    assert ray.get(sends.remote()) == (False, False)
