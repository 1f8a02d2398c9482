"""Measure this process's GPU memory: torch reports its own allocations, NVML the whole process."""

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch

from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import MIB

MOST_BESIDE_MIB = 4096
"""Upper bound of CUDA's context and libraries, in MiB; a larger increase belongs to another process."""

Source = Literal["process", "alone", "assumed"]
"""Source of a figure: `process`: NVML's value for the process; `alone`: the increase on a GPU that no other
process uses; `assumed`: torch's peak plus the calibration's value for CUDA's context and libraries."""


@dataclass(frozen=True)
class Peak:
    """Peak GPU memory of this process.

    Attributes:
        mib: Peak of the whole process, in MiB.
        source: Source of the figure; `assumed` carries no new information about the context.
    """

    mib: float
    source: Source


def load_nvml() -> Any:
    """Import and initialize NVML, NVIDIA's management library.

    Raises:
        InputError: NVML's Python package is not installed, or there is no driver.
    """
    try:
        import pynvml  # noqa: PLC0415 importing it searches for the driver

        pynvml.nvmlInit()
    except ImportError as error:
        raise InputError("reading GPU memory needs nvidia-ml-py: pip install nvidia-ml-py") from error
    except pynvml.NVMLError as error:
        raise InputError(f"NVIDIA's driver does not respond: {error}") from error
    return pynvml


class GpuMeter:
    """Memory of this process on the first GPU of CUDA_VISIBLE_DEVICES, in MiB.

    Create the meter before the process's first use of CUDA. In a container NVML may not know the process
    ID. The meter then reports the increase on the GPU since its creation, which is the process's own only
    if no other process uses the GPU.

    Args:
        nvml: The initialized `pynvml` module.
        pid: Process ID; None: this process.

    Raises:
        InputError: NVML does not report the GPU's memory.
    """

    def __init__(self, nvml: Any, pid: int | None = None) -> None:
        self._nvml = nvml
        self._pid = os.getpid() if pid is None else pid
        try:
            self._gpu = _first_visible(nvml)
            self._before = self._used()
        except nvml.NVMLError as error:
            raise InputError(f"NVIDIA's driver does not report this GPU's memory: {error}") from error

    def process_mib(self) -> float:
        """Return the process's current memory if NVML knows it, else the increase since the meter's creation.

        Raises:
            InputError: NVML does not report the GPU's memory.
        """
        try:
            known = self._known()
            return self._used() - self._before if known is None else known
        except self._nvml.NVMLError as error:
            raise InputError(f"NVIDIA's driver does not report this GPU's memory: {error}") from error

    def peak_process_mib(self) -> float:
        """Return the process's peak memory: its current memory plus what torch's allocator has returned.

        Raises:
            InputError: NVML does not report the GPU's memory.
        """
        returned = torch.cuda.max_memory_reserved() - torch.cuda.memory_reserved()
        return self.process_mib() + returned / MIB

    def knows_process(self) -> bool:
        """Return whether NVML reports this process's memory separately from that of others."""
        try:
            return self._known() is not None
        except self._nvml.NVMLError:
            return False

    def _known(self) -> float | None:
        for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._gpu):
            if process.pid == self._pid and process.usedGpuMemory:
                return float(process.usedGpuMemory / MIB)
        return None

    def _used(self) -> float:
        return float(self._nvml.nvmlDeviceGetMemoryInfo(self._gpu).used / MIB)


@cache
def process_meter() -> GpuMeter | None:
    """Return this process's meter, created at the first call; None if NVML is missing or does not respond.

    Call it before the process's first use of CUDA. A worker process that trains several members keeps its
    meter.
    """
    try:
        return GpuMeter(load_nvml())
    except InputError:
        return None


def measure_peak(meter: GpuMeter | None, *, alone: bool, reserved_mib: float, context_mib: float) -> Peak:
    """Return this process's peak GPU memory: torch's peak plus the memory outside torch's allocator.

    The outside memory is measured if NVML knows the process, or if no other process uses the GPU and the
    figure is plausible. Otherwise it would include other processes, and `context_mib` is assumed.

    Args:
        meter: Meter of this process, or None.
        alone: Whether no other process uses the GPU.
        reserved_mib: Peak reserved by torch's allocator, in MiB.
        context_mib: Assumed memory outside torch's allocator, in MiB.
    """
    known = meter is not None and meter.knows_process()
    if meter is not None and (known or alone):
        with suppress(InputError):
            beside = meter.process_mib() - torch.cuda.memory_reserved() / MIB
            if known or 0 < beside < MOST_BESIDE_MIB:
                return Peak(reserved_mib + beside, "process" if known else "alone")
    return Peak(reserved_mib + context_mib, "assumed")


@cache
def driver_version() -> str | None:
    """Return the version of NVIDIA's driver; None if there is none or it does not respond."""
    try:
        nvml = load_nvml()
    except InputError:
        return None
    try:
        return str(nvml.nvmlSystemGetDriverVersion())
    except nvml.NVMLError:
        return None


def visible_gpu(nvml: Any) -> tuple[str, float]:
    """Return the name and the usable MiB of the first GPU of CUDA_VISIBLE_DEVICES.

    As in CUDA, the driver's own share of up to 3 % is not usable; old drivers do not report it.

    Args:
        nvml: The initialized `pynvml` module.

    Raises:
        InputError: NVML does not report the GPU's memory.
    """
    try:
        gpu = _first_visible(nvml)
        return str(nvml.nvmlDeviceGetName(gpu)), _usable_bytes(nvml, gpu) / MIB
    except nvml.NVMLError as error:
        raise InputError(f"NVIDIA's driver does not report this GPU's memory: {error}") from error


def _usable_bytes(nvml: Any, gpu: Any) -> int:
    try:
        info = nvml.nvmlDeviceGetMemoryInfo(gpu, version=nvml.nvmlMemory_v2)
    except nvml.NVMLError:
        return int(nvml.nvmlDeviceGetMemoryInfo(gpu).total)
    return int(info.total - info.reserved)


def _first_visible(nvml: Any) -> Any:
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(first))
    return nvml.nvmlDeviceGetHandleByUUID(first)
