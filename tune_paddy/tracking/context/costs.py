"""Cost of a trial: GPU-seconds of its share of a GPU, or CPU-seconds."""

from collections.abc import Mapping

from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import MemberRecord
from tune_paddy.tracking.ui.layout import CPU_SECONDS, GPU_SECONDS


def cost_metric(gpu_share: float) -> str:
    """Return the name of the metric that holds a member's cost."""
    return GPU_SECONDS if gpu_share > 0 else CPU_SECONDS


def cost_metrics(metrics: Mapping[str, float], *, gpu_share: float, cpus: float) -> dict[str, float]:
    """Return the cost of a trained member as a metric.

    Args:
        metrics: The member's `train_seconds_total` and `predict_seconds`.
        gpu_share: Share of a GPU reserved for the member; 0: it used only CPUs.
        cpus: Number of CPUs reserved for the member.
    """
    seconds = metrics["train_seconds_total"] + metrics["predict_seconds"]
    return {cost_metric(gpu_share): round(seconds * (gpu_share or cpus), 2)}


def trial_cost(search: RecordedRun, member: RecordedRun) -> tuple[str, float]:
    """Return the cost of a trial of any outcome: name of the metric, and GPU- or CPU-seconds.

    A finished member has recorded its cost, which excludes the time between an interruption and its
    resumption. For other members the time from start to end counts.
    """
    share = MemberRecord.from_run(member).gpu_share or 0.0
    name = cost_metric(share)
    if name in member.metrics:
        return name, member.metrics[name]
    seconds = member.metrics.get("train_seconds_total")
    if seconds is None:
        seconds = max((member.ended or member.started) - member.started, 0.0)
    return name, seconds * (share or float(search.params.get("cpus", "1")))
