"""GPU memory measurements of recorded members, by GPU and software versions."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tune_paddy.core.calibration import STACK, CalibrationPoint
from tune_paddy.core.errors import InputError
from tune_paddy.core.gpus import same_model
from tune_paddy.tracking.runs import RecordedRun, list_members, list_searches, parse_params
from tune_paddy.tracking.schema import MemberRecord
from tune_paddy.tracking.store import Store

ASSUMED = "assumed"
"""Value of the tag `memory_source` if the CUDA context comes from a calibration, not from a measurement."""


@dataclass(frozen=True)
class MeasuredStack:
    """Measurements on one GPU model with one set of software versions.

    Attributes:
        gpu: Name of the GPU model.
        versions: Versions of torch, CUDA, the driver and timm.
        points: One point per member.
    """

    gpu: str
    versions: Mapping[str, str]
    points: tuple[CalibrationPoint, ...]


@dataclass(frozen=True)
class Measurements:
    """Memory measurements of a record.

    Attributes:
        stacks: Measurements per GPU and software versions; each has at least one member.
        left_out: Reason for leaving out finished members → number of them.
    """

    stacks: tuple[MeasuredStack, ...]
    left_out: Mapping[str, int]


def measured_stacks(store: Store, gpu: str | None = None) -> Measurements:
    """Collect forecast and measured memory of finished members over all searches, by GPU and software.

    Args:
        store: The record.
        gpu: GPU model to which the members are limited; None: all.

    Raises:
        InputError: No member can be used; the message gives the reasons.
    """
    members: dict[tuple[str, ...], list[RecordedRun]] = {}
    left_out: Counter[str] = Counter()
    for search in list_searches(store):
        for member in list_members(store, search.name):
            if member.outcome != "finished":
                continue
            reason = _unusable(member, gpu)
            if reason is None:
                members.setdefault(_stack(member), []).append(member)
            else:
                left_out[reason] += 1
    if not members:
        reasons = "; ".join(f"{n} {reason}" for reason, n in left_out.items()) or "it has no finished member"
        raise InputError(f"{store.address}: no member to calibrate with: {reasons}")
    return Measurements(tuple(_measured(*item) for item in sorted(members.items())), left_out)


def _unusable(member: RecordedRun, gpu: str | None) -> str | None:
    """Return the reason why a finished member cannot be used, or None."""
    record = MemberRecord.from_run(member)
    if record.device != "cuda" or not record.gpu:
        return "not trained on a CUDA GPU"
    if gpu is not None and not same_model(record.gpu, gpu):
        return "trained on another GPU"
    if record.memory_source in ("", ASSUMED):
        return "not measured apart from other processes on the GPU"
    if parse_params(member.params).get("compile") is True:
        return "compiled, which the forecast does not cover"
    if not (member.metrics.get("memory/raw_mib", 0) > 0 and member.metrics.get("memory/measured_mib", 0) > 0):
        return "finished with another accum than the forecast's"
    return None


def _stack(member: RecordedRun) -> tuple[str, ...]:
    record = MemberRecord.from_run(member)
    return tuple(getattr(record, name) for name in ("gpu", *STACK))


def _measured(stack: tuple[str, ...], members: list[RecordedRun]) -> MeasuredStack:
    gpu, *versions = stack
    points = tuple(
        CalibrationPoint(
            raw_mib=member.metrics["memory/raw_mib"],
            process_mib=member.metrics["memory/measured_mib"],
            reserved_mib=member.metrics.get("peak_mib"),
            label=f"{member.search}/{member.name}",
        )
        for member in members
    )
    named = {name: value for name, value in zip(STACK, versions, strict=True) if value}
    return MeasuredStack(gpu, named, points)
