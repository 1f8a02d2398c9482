"""Read what this process takes of its GPU: torch knows its own allocations, NVML the whole process."""

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch

from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import MIB

MOST_BESIDE_MIB = 4096
"""CUDA's context and libraries never take more; where more came onto the GPU, it was somebody else's."""

Source = Literal["process", "alone", "assumed"]
"""How a figure was had: NVML knows the process; or what came onto a GPU that the process has to itself;
or torch's own peak, and beside it what a calibration says that CUDA's context and libraries take."""


@dataclass(frozen=True)
class Peak:
    """The most memory that this process took of its GPU.

    Attributes:
        mib: Of the whole process.
        source: How it was had; an assumed one says nothing new about the context.
    """

    mib: float
    source: Source


def load_nvml() -> Any:
    """Import and start NVIDIA's management library.

    Raises:
        InputError: It is not installed, or there is no driver.
    """
    try:
        import pynvml  # noqa: PLC0415 it looks for the driver

        pynvml.nvmlInit()
    except ImportError as error:
        raise InputError("reading GPU memory needs nvidia-ml-py: pip install nvidia-ml-py") from error
    except pynvml.NVMLError as error:
        raise InputError(f"NVIDIA's driver does not answer: {error}") from error
    return pynvml


class GpuMeter:
    """Memory of this process on the GPU that CUDA_VISIBLE_DEVICES names first, in MiB.

    Make it before the process's first use of CUDA. In a container NVML may not know the process by its
    number; what came onto the GPU since the meter was made is then the process's only where it has the
    GPU to itself.

    Args:
        nvml: The `pynvml` module, started.
        pid: Number of the process.

    Raises:
        InputError: NVML refuses to tell.
    """

    def __init__(self, nvml: Any, pid: int | None = None) -> None:
        self._nvml = nvml
        self._pid = os.getpid() if pid is None else pid
        try:
            self._gpu = _first_visible(nvml)
            self._before = self._used()
        except nvml.NVMLError as error:
            raise InputError(f"NVIDIA's driver does not tell of this GPU's memory: {error}") from error

    def process_mib(self) -> float:
        """What the whole process takes now, where NVML knows it, else what came since the meter was made.

        Raises:
            InputError: NVML refuses to tell.
        """
        try:
            known = self._known()
            return self._used() - self._before if known is None else known
        except self._nvml.NVMLError as error:
            raise InputError(f"NVIDIA's driver does not tell of this GPU's memory: {error}") from error

    def peak_process_mib(self) -> float:
        """The most that the process took: now, or when torch's allocator had reserved the most.

        Raises:
            InputError: NVML refuses to tell.
        """
        returned = torch.cuda.max_memory_reserved() - torch.cuda.memory_reserved()
        return self.process_mib() + returned / MIB

    def knows_process(self) -> bool:
        """Whether NVML tells this process's memory from that of others now."""
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
    """Return this process's meter, made at the first call; None where NVML is not there or does not tell.

    Call it before the process's first use of CUDA: a worker that trains several members keeps its meter.
    """
    try:
        return GpuMeter(load_nvml())
    except InputError:
        return None


def measure_peak(meter: GpuMeter | None, *, alone: bool, reserved_mib: float, context_mib: float) -> Peak:
    """Say what this process took of its GPU at most: torch's peak, and what lies beside torch's allocator.

    What lies beside is read where NVML knows the process, or where the process has the GPU to itself and
    the figure can be believed; elsewhere, neighbours would be counted as its own, and it is assumed.

    Args:
        meter: This process's, or None.
        alone: Whether it has the GPU to itself.
        reserved_mib: The most that torch's allocator had reserved.
        context_mib: What is assumed to lie beside it.
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
    """Version of NVIDIA's driver, or None where there is none or it does not answer."""
    try:
        nvml = load_nvml()
    except InputError:
        return None
    try:
        return str(nvml.nvmlSystemGetDriverVersion())
    except nvml.NVMLError:
        return None


def visible_gpu(nvml: Any) -> tuple[str, float]:
    """Return the name and the MiB of the GPU that CUDA_VISIBLE_DEVICES names first.

    What the driver keeps for itself, up to 3 %, is left out, as CUDA leaves it out; old drivers do not tell.

    Args:
        nvml: The `pynvml` module, started.

    Raises:
        InputError: NVML refuses to tell.
    """
    try:
        gpu = _first_visible(nvml)
        return str(nvml.nvmlDeviceGetName(gpu)), _usable_bytes(nvml, gpu) / MIB
    except nvml.NVMLError as error:
        raise InputError(f"NVIDIA's driver does not tell of this GPU's memory: {error}") from error


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
