"""From allocated bytes to the memory of a process: two constants per GPU and software stack.

`process = context + slack x raw`. The context is what CUDA, cuDNN and cuBLAS hold before and beside
torch's allocator; the slack is the allocator's rounding and fragmentation, and temporaries of the
backward pass. Both are measured once (`fit_calibration`) and hold for every member.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tune_paddy.core.errors import InputError

STACK = ("torch", "cuda", "driver", "timm")
"""Versions of these decide, beside the GPU, how much memory the same training takes."""
SLACK = 1.065
"""Of the stacks measured so far; where measurements cannot tell, this one is kept."""
LEAST_MARGIN = 0.02
"""Networks differ from those that were measured; the next one may lie above all of them."""
_SLACK_RANGE = (0.9, 1.5)
"""A fitted slack outside comes from noise or from too narrow a range of measurements."""
_NARROW = 3.0
"""Measurements whose largest footprint is below so many times their smallest cannot tell the slack."""


class CalibrationPoint(BaseModel):
    """One training process that was measured on a GPU; everything in MiB.

    A point needs `raw_mib` and `process_mib` alone; the rest is kept so that a person can judge it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    raw_mib: float = Field(gt=0, description="its footprint before calibration")
    process_mib: float = Field(gt=0, description="memory of the whole process, by NVML")
    label: str = Field("", description="what ran, such as `resnet50 224x224, 64 at once`")
    allocated_mib: float | None = Field(None, description="peak of torch's tensors")
    reserved_mib: float | None = Field(None, description="peak of torch's allocator")
    context_mib: float | None = Field(None, description="the process after one small operation, by NVML")
    alloc_retries: int | None = Field(None, description="times that the allocator had to flush its cache")


class Calibration(BaseModel):
    """What turns a raw footprint into the memory of a process on one GPU and software stack."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    gpu: str | None = Field(None, description="name as torch reports it; none: any GPU")
    context_mib: float = Field(ge=0, le=1e6, description="held beside torch's allocator")
    slack: float = Field(gt=0, le=100, description="what the allocator reserves per raw byte")
    margin: float = Field(0.0, ge=0, le=1, description="share added on top, for safety")
    unfused_attention: bool = Field(False, description="a stack without fused attention kernels")
    versions: dict[str, str] = Field(default_factory=dict, description="torch, CUDA, driver, ...")
    source: str = Field("", description="how the figures were had")
    points: tuple[CalibrationPoint, ...] = ()

    def process_mib(self, raw_mib: float, *, with_margin: bool = False) -> float:
        """MiB of a process whose footprint is `raw_mib`; planning adds the margin."""
        expected = self.context_mib + self.slack * raw_mib
        return expected * (1 + self.margin) if with_margin else expected


def stack_name(gpu: str, versions: Mapping[str, str]) -> str:
    """Name a calibration after what it holds for: `Tesla T4, torch 2.15.0, cuda 13.2, driver 580`."""
    return ", ".join([gpu, *(f"{name} {versions[name]}" for name in STACK if name in versions)])


def fit_calibration(points: Sequence[CalibrationPoint]) -> tuple[float, float]:
    """Fit (context in MiB, slack) to measured processes.

    Theil and Sen's line (Sen 1968, https://doi.org/10.1080/01621459.1968.10480934), each pair weighted by
    how far apart its footprints are: exact through two points, and unmoved by a run that broke off early.
    Where the footprints are too much alike to tell the slack, `SLACK` is kept and the context is fitted.

    Raises:
        InputError: No point was given.
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
    """Make a calibration from measured processes of one GPU and software stack.

    Its margin covers the point that was furthest above its forecast, and at least `LEAST_MARGIN`.

    Raises:
        InputError: No point was given.
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
    """Return by what share the worst point was above its forecast; 0 where none was."""
    worst = max(point.process_mib / (context_mib + slack * point.raw_mib) for point in points)
    return max(0.0, worst - 1)


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Weighted median of the slopes between all pairs of points whose `x` differ."""
    first, second = np.triu_indices(len(x), k=1)
    gaps = x[second] - x[first]
    apart = gaps != 0
    slopes = (y[second] - y[first])[apart] / gaps[apart]
    order = np.argsort(slopes)
    weights = np.cumsum(np.abs(gaps[apart])[order])
    return float(slopes[order][np.searchsorted(weights, weights[-1] / 2)])
