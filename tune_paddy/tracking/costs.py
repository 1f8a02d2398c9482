"""What a trial cost: the seconds for which it held its share of a GPU, or its CPUs."""

from collections.abc import Mapping

from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.schema import MemberRecord
from tune_paddy.tracking.ui.layout import CPU_SECONDS, GPU_SECONDS


def cost_metric(gpu_share: float) -> str:
    """Name of the metric that a member's cost is recorded as."""
    return GPU_SECONDS if gpu_share > 0 else CPU_SECONDS


def cost_metrics(metrics: Mapping[str, float], *, gpu_share: float, cpus: float) -> dict[str, float]:
    """What a trained member cost.

    Args:
        metrics: Its seconds of training and of prediction.
        gpu_share: Of a GPU that was kept for it; 0: it used CPUs alone.
        cpus: That were kept for it.
    """
    seconds = metrics["train_seconds_total"] + metrics["predict_seconds"]
    return {cost_metric(gpu_share): round(seconds * (gpu_share or cpus), 2)}


def trial_cost(search: RecordedRun, member: RecordedRun) -> tuple[str, float]:
    """What a trial cost, whatever became of it: the metric's name, and GPU- or CPU-seconds.

    A finished member says so itself, without the time that it waited to be resumed. Of others the time from
    start to end counts.
    """
    share = MemberRecord.from_run(member).gpu_share or 0.0
    name = cost_metric(share)
    if name in member.metrics:
        return name, member.metrics[name]
    seconds = member.metrics.get("train_seconds_total")
    if seconds is None:
        seconds = max((member.ended or member.started) - member.started, 0.0)
    return name, seconds * (share or float(search.params.get("cpus", "1")))
