"""Measure on a GPU how a footprint relates to a process's memory, each point in a fresh process.

The process is fresh because CUDA's context, its libraries and the allocator's cache persist once loaded.
Each process trains a few steps, evaluates once, and then reads its memory from torch and NVML.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tune_paddy.core.calibration import Calibration, CalibrationPoint, calibrate, stack_name
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.memory import EVALUATION_FACTOR, MIB
from tune_paddy.training.devices import Device, pick_device
from tune_paddy.training.forecast.footprint import forecast
from tune_paddy.training.gpu_memory import GpuMeter, load_nvml
from tune_paddy.training.networks.model import build_model, lay_out
from tune_paddy.training.oom import is_out_of_memory
from tune_paddy.training.stack import software_versions

STEPS = 4
"""Training steps per probe: the optimizer's moments exist from the second step; two more let the allocator
settle."""


@dataclass(frozen=True)
class Probe:
    """One training process to measure, with one micro-batch per step.

    Attributes:
        arch: timm model name.
        size: (height, width) in px.
        micro_batch: Number of images per step.
    """

    arch: str
    size: tuple[int, int]
    micro_batch: int

    @property
    def label(self) -> str:
        """Description of the probe for progress messages."""
        return f"{self.arch} {self.size[0]}x{self.size[1]}, {self.micro_batch} at once"


PROBES = (
    Probe("convnext_small", (128, 128), 16),
    Probe("convnext_small", (128, 128), 64),
    Probe("resnet50", (224, 224), 64),
    Probe("vit_large_patch16_224", (224, 224), 16),
)
"""Probes with few and many parameters, few and many activations, convolutions and attention."""


class Meter(Protocol):
    """Interface of a meter of a process's memory, in MiB; see `GpuMeter`."""

    def process_mib(self) -> float:
        """Return the current memory of the whole process."""

    def peak_process_mib(self) -> float:
        """Return the peak memory of the process."""

    def knows_process(self) -> bool:
        """Return whether the figures exclude other processes on the GPU."""


@dataclass(frozen=True)
class Reading:
    """Measurement of one process.

    Attributes:
        point: Measured memory and forecast footprint of the process.
        gpu: Name of the GPU.
        versions: Versions of the driver and the libraries.
        told_apart: Whether the figures are the process's own rather than those of the whole GPU.
    """

    point: CalibrationPoint
    gpu: str
    versions: dict[str, str]
    told_apart: bool = True


def measure_afresh(probe: Probe) -> Reading | None:
    """Measure one probe in a fresh process, see `measure_probe`."""
    load_nvml()  # reports a missing driver before a process imports torch
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        return pool.submit(measure_probe, probe).result()


def calibrate_gpu(
    name: str | None = None,
    *,
    probes: Sequence[Probe] = PROBES,
    measure: Callable[[Probe], Reading | None] = measure_afresh,
    report: Callable[[str], None] = lambda line: None,
) -> Calibration:
    """Measure this machine's GPU and return its calibration.

    Args:
        name: Name of the calibration; None: a name composed of the GPU and the software versions.
        probes: Probes to measure.
        measure: Function that measures one probe.
        report: Callback with one line per probe.

    Raises:
        InputError: There is no GPU, or NVML is missing.
        TunePaddyError: No probe fits the GPU.
    """
    readings = []
    for probe in probes:
        reading = measure(probe)
        if reading is None:
            report(f"{probe.label}: does not fit, skipped")
            continue
        report(f"{probe.label}: {reading.point.process_mib:,.0f} MiB, raw {reading.point.raw_mib:,.0f}")
        readings.append(reading)
    if not readings:
        raise TunePaddyError("cannot calibrate: none of the probe networks fits this GPU")
    if not all(reading.told_apart for reading in readings):
        report(
            "The driver does not report memory per process here, as in a container: the figures include "
            "other processes on the GPU; repeat the calibration if any were running"
        )
    return calibrate(
        [reading.point for reading in readings],
        name=name or stack_name(readings[0].gpu, readings[0].versions),
        gpu=readings[0].gpu,
        versions=readings[0].versions,
        source=f"{len(readings)} training processes, measured by `tune-paddy memory calibrate`",
    )


def measure_probe(probe: Probe) -> Reading | None:
    """Measure one probe in this process, before any other use of CUDA; return None if it does not fit.

    Raises:
        InputError: There is no GPU, or NVML is missing.
    """
    meter = GpuMeter(load_nvml())
    device = pick_device()
    if device.type != "cuda":
        raise InputError("there is no GPU to calibrate: CUDA does not find one on this machine")
    try:
        point = measure_point(probe, device, meter)
    except Exception as error:
        if is_out_of_memory(error):
            return None
        raise
    return Reading(point, torch.cuda.get_device_name(), software_versions(), meter.knows_process())


def measure_point(probe: Probe, device: Device, meter: Meter) -> CalibrationPoint:
    """Train and evaluate a probe on `device`, and return its measured memory."""
    _touch(device)
    context_mib = meter.process_mib()
    device.prefer_speed()
    model = lay_out(build_model(probe.arch, 10, size=probe.size), device.type).to(device.torch)
    _train(model, probe, device)
    _evaluate(model, probe, device)
    device.synchronize()
    footprint = forecast(probe.arch, probe.size, precision=device.precision)
    stats = torch.cuda.memory_stats() if device.type == "cuda" else {}
    return CalibrationPoint(
        label=f"{probe.label}, {device.precision}",
        raw_mib=footprint.raw_mib(probe.micro_batch),
        process_mib=meter.peak_process_mib(),
        allocated_mib=stats.get("allocated_bytes.all.peak", 0) / MIB,
        reserved_mib=stats.get("reserved_bytes.all.peak", 0) / MIB,
        context_mib=context_mib,
        alloc_retries=stats.get("num_alloc_retries", 0),
    )


def _touch(device: Device) -> None:
    """Load CUDA's libraries by one convolution and one matrix product."""
    image = torch.zeros(1, 1, 8, 8, device=device.torch)
    F.conv2d(image, image[..., :3, :3])
    image[0, 0] @ image[0, 0]
    device.synchronize()


def _train(model: nn.Module, probe: Probe, device: Device) -> None:
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    scaler = device.grad_scaler()
    for _ in range(STEPS):
        images = _images(probe.micro_batch, probe, device)
        labels = torch.zeros(len(images), dtype=torch.long, device=device.torch)
        with device.autocast():
            loss = F.cross_entropy(model(images).float(), labels, reduction="sum") / len(images)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()


def _evaluate(model: nn.Module, probe: Probe, device: Device) -> None:
    model.eval()
    with torch.inference_mode(), device.autocast():
        model(_images(EVALUATION_FACTOR * probe.micro_batch, probe, device))


def _images(n: int, probe: Probe, device: Device) -> Tensor:
    return torch.randn(n, 3, *probe.size, device=device.torch)
