"""Calibration: two constants per GPU and software stack that turn allocated bytes into process memory.

`process = context + slack x raw`. The context is the memory that CUDA, cuDNN and cuBLAS hold outside
torch's allocator. The slack covers the allocator's rounding and fragmentation, and temporaries of the
backward pass. Both are measured once (`fit_calibration`) and hold for every member.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tune_paddy.core.errors import InputError

STACK = ("torch", "cuda", "driver", "timm")
"""Components whose versions affect the memory of a training, besides the GPU."""
SLACK = 1.065
"""Default slack, from the stacks measured so far; used where measurements cannot determine it."""
LEAST_MARGIN = 0.02
"""Smallest margin, as a share: a new network may need more than every measured one."""
_SLACK_RANGE = (0.9, 1.5)
"""Plausible slack. A fitted value outside comes from noise or from too narrow a range of measurements."""
_NARROW = 3.0
"""Smallest ratio of the largest to the smallest measured footprint that determines the slack."""


class CalibrationPoint(BaseModel):
    """Measurement of one training process on a GPU, in MiB.

    Only `raw_mib` and `process_mib` are required; the other fields let a person judge the measurement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    raw_mib: float = Field(gt=0, description="footprint before calibration")
    process_mib: float = Field(gt=0, description="memory of the whole process, by NVML")
    label: str = Field("", description="workload, such as `resnet50 224x224, 64 at once`")
    allocated_mib: float | None = Field(None, description="peak of torch's tensors")
    reserved_mib: float | None = Field(None, description="peak of torch's allocator")
    context_mib: float | None = Field(None, description="the process after one small operation, by NVML")
    alloc_retries: int | None = Field(None, description="number of times the allocator flushed its cache")


class Calibration(BaseModel):
    """Constants that turn a raw footprint into process memory, for one GPU and software stack."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    gpu: str | None = Field(None, description="name as torch reports it; none: any GPU")
    context_mib: float = Field(ge=0, le=1e6, description="memory outside torch's allocator")
    slack: float = Field(gt=0, le=100, description="bytes that the allocator reserves per raw byte")
    margin: float = Field(0.0, ge=0, le=1, description="safety margin, as a share")
    unfused_attention: bool = Field(False, description="whether the stack lacks fused attention kernels")
    versions: dict[str, str] = Field(default_factory=dict, description="torch, CUDA, driver, ...")
    source: str = Field("", description="origin of the measurements")
    points: tuple[CalibrationPoint, ...] = ()

    def process_mib(self, raw_mib: float, *, with_margin: bool = False) -> float:
        """Return the process memory, in MiB, for a footprint of `raw_mib`; planning adds the margin."""
        expected = self.context_mib + self.slack * raw_mib
        return expected * (1 + self.margin) if with_margin else expected


def stack_name(gpu: str, versions: Mapping[str, str]) -> str:
    """Return the name of a GPU and software stack: `Tesla T4, torch 2.15.0, cuda 13.2, driver 580`."""
    return ", ".join([gpu, *(f"{name} {versions[name]}" for name in STACK if name in versions)])


def fit_calibration(points: Sequence[CalibrationPoint]) -> tuple[float, float]:
    """Fit (context in MiB, slack) to measured processes.

    The fit is a Theil–Sen line (Sen 1968, https://doi.org/10.1080/01621459.1968.10480934) whose pairs are
    weighted by the distance between their footprints. It is exact for two points and robust to a run that
    ended early. Where the footprints are too similar to determine the slack, only the context is fitted,
    with `SLACK`.

    Raises:
        InputError: `points` is empty.
    """
    if not points:
        raise InputError("nothing was measured: a calibration needs at least one run on a GPU")
    raw = np.array([point.raw_mib for point in points])
    process = np.array([point.process_mib for point in points])
    slack = _slope(raw, process) if raw.max() >= _NARROW * raw.min() else SLACK
    if not _SLACK_RANGE[0] <= slack <= _SLACK_RANGE[1]:
        slack = SLACK
    return max(0.0, float(np.median(process - slack * raw))), slack


def calibrate(
    points: Sequence[CalibrationPoint],
    *,
    name: str,
    gpu: str | None,
    versions: Mapping[str, str],
    source: str,
) -> Calibration:
    """Build a calibration from measured processes of one GPU and software stack.

    The margin covers the largest underestimate among the points, and is at least `LEAST_MARGIN`.

    Raises:
        InputError: `points` is empty.
    """
    context_mib, slack = fit_calibration(points)
    margin = max(LEAST_MARGIN, largest_underestimate(points, context_mib, slack))
    return Calibration(
        name=name,
        gpu=gpu,
        context_mib=round(context_mib, 1),
        slack=round(slack, 4),
        margin=round(margin, 4),
        versions=dict(versions),
        source=source,
        points=tuple(points),
    )


def largest_underestimate(points: Sequence[CalibrationPoint], context_mib: float, slack: float) -> float:
    """Return the largest excess of a measurement over its forecast, as a share; 0 if there is none."""
    worst = max(point.process_mib / (context_mib + slack * point.raw_mib) for point in points)
    return max(0.0, worst - 1)


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the weighted median of the slopes between all pairs of points whose `x` differ."""
    first, second = np.triu_indices(len(x), k=1)
    gaps = x[second] - x[first]
    apart = gaps != 0
    slopes = (y[second] - y[first])[apart] / gaps[apart]
    order = np.argsort(slopes)
    weights = np.cumsum(np.abs(gaps[apart])[order])
    return float(slopes[order][np.searchsorted(weights, weights[-1] / 2)])
