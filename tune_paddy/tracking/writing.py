"""Write to a run: parameters, tags, metrics at a step, and current values of metrics."""

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.tracking.client import call, load_mlflow, wait_out
from tune_paddy.tracking.schema import OUTCOME
from tune_paddy.tracking.store import Store
from tune_paddy.tracking.ui.tags import stored_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

MAX_PARAMS = 100
"""Maximum number of parameters per request, MLflow's limit."""

_DIGITS = 6
"""Significant digits of metrics: MLflow's pages show every digit that is stored."""
_LARGE = 10.0**_DIGITS
_EXACT = frozenset(("objective", "predict_ms_per_image"))
"""Metrics that a sampler or a selection reads back: stored with all digits."""


Ended = Literal["FINISHED", "FAILED", "KILLED"]
"""Status of a closed run, in MLflow's words."""


def now() -> int:
    """Return the time in milliseconds since 1970, MLflow's unit."""
    return time.time_ns() // 1_000_000


def shown_value(name: str, value: float) -> float:
    """Return the value of a metric as it is stored: with six significant digits; integers are unchanged.

    Infinities become NaN: MLflow's databases would store the largest double, which ruins every chart.

    >>> shown_value("log_loss", 0.257613170123), shown_value("images", 1281167), shown_value("mib", 1234567.8)
    (0.257613, 1281167.0, 1234568.0)
    """
    if not math.isfinite(value):
        return math.nan
    if name in _EXACT or float(value).is_integer():
        return float(value)
    return float(f"{value:.{_DIGITS}g}") if abs(value) < _LARGE else float(round(value))


def points(metrics: Mapping[str, float], *, step: int = 0, milliseconds: int | None = None) -> list["Metric"]:
    """Convert values to MLflow metrics with one time and step.

    Args:
        metrics: Name → value, stored as `shown_value`.
        step: Position on the x axis.
        milliseconds: Time since 1970, in milliseconds; None: now.
    """
    entities = load_mlflow().entities
    stamp = now() if milliseconds is None else milliseconds
    return [entities.Metric(key, shown_value(key, value), stamp, step) for key, value in metrics.items()]


def log_at_step(
    client: "MlflowClient", run_id: str, metrics: Mapping[str, float], step: int, milliseconds: int | None
) -> None:
    """Log values of one step in one request; skip values that the step has already.

    MLflow identifies a point by step, time and value, and never deletes one. A step that is repeated
    after a crash therefore adds nothing where a value is the same, and a second point where it differs.
    The second point is the current one, also if the clock was set back in between.
    """
    first = next(iter(metrics), None)
    if first is None:
        return
    stamp = now() if milliseconds is None else milliseconds
    before = _points_at(client, run_id, first, step)
    batch = points(metrics, step=step, milliseconds=max([stamp, *(point.timestamp + 1 for point in before)]))
    if before:
        batch = [point for point in batch if not _stands(client, run_id, point)]
    if batch:
        call(client.log_batch, run_id, metrics=batch)


def log_latest(client: "MlflowClient", run_id: str, metrics: Mapping[str, float]) -> None:
    """Log values that become the current values of their metrics, whatever was logged before.

    MLflow's current value is the point with the greatest (step, time). A later value at an earlier step,
    or after the clock was set back, would be hidden. Skip values that are already current.
    """
    current = call(client.get_run, run_id).data.metrics
    batch: list[Metric] = []
    for key, value in metrics.items():
        if key not in current:
            batch += points({key: value})
        elif current[key] != shown_value(key, value):
            last = max(call(client.get_metric_history, run_id, key), key=lambda m: (m.step, m.timestamp))
            batch += points({key: value}, step=last.step, milliseconds=max(now(), last.timestamp + 1))
    if batch:
        call(client.log_batch, run_id, metrics=batch)


def log_params(client: "MlflowClient", run_id: str, params: Mapping[str, object]) -> None:
    """Log the parameters that the run does not have yet; MLflow refuses to change a parameter."""
    entities = load_mlflow().entities
    known = call(client.get_run, run_id).data.params
    new = [entities.Param(key, str(value)) for key, value in params.items() if key not in known]
    for start in range(0, len(new), MAX_PARAMS):
        call(client.log_batch, run_id, params=new[start : start + MAX_PARAMS])


def set_tags(
    client: "MlflowClient", run_id: str, tags: Mapping[str, object], *, most: float = math.inf
) -> None:
    """Set tags in one request; overwrite existing tags.

    Args:
        client: MLflow's client of the record.
        run_id: The run.
        tags: Name of a tag → value.
        most: Longest time to wait for a server that does not answer, in seconds.

    Raises:
        TunePaddyError: MLflow failed.
    """
    entities = load_mlflow().entities
    stored = stored_tags({key: str(value) for key, value in tags.items()})
    if stored:
        batch = [entities.RunTag(key, value) for key, value in stored.items()]
        wait_out(lambda: client.log_batch(run_id, tags=batch), most=most)


def delete_tag(client: "MlflowClient", run_id: str, name: str) -> None:
    """Delete a tag; it may be gone, if the answer to a first request was lost."""
    try:
        call(client.delete_tag, run_id, name)
    except TunePaddyError:
        if name in call(client.get_run, run_id).data.tags:
            raise


def _points_at(client: "MlflowClient", run_id: str, key: str, step: int) -> list["Metric"]:
    return [point for point in call(client.get_metric_history, run_id, key) if point.step == step]


def _stands(client: "MlflowClient", run_id: str, point: "Metric") -> bool:
    values = [before.value for before in _points_at(client, run_id, point.key, point.step)]
    return point.value in values or (math.isnan(point.value) and any(math.isnan(value) for value in values))


def finish_run(store: Store, run_id: str, status: Ended, end: int | None = None) -> None:
    """End a run with its outcome.

    Args:
        store: The record.
        run_id: The run.
        status: MLflow's status.
        end: Time of the end since 1970, in milliseconds; None: now.

    Raises:
        TunePaddyError: MLflow failed.
    """
    outcome = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "interrupted"}[status]
    set_tags(store.client, run_id, {OUTCOME: outcome})
    call(store.client.set_terminated, run_id, status=status, end_time=end)
