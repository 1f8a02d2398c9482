"""Read what this process takes of its GPU: torch knows its own allocations, NVML the whole process."""

import os
from functools import cache
from typing import Any

import torch

from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import MIB


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
    number; then everything that came onto the GPU since the meter was made counts as the process's, which
    is right where nothing else starts or ends there meanwhile.

    Args:
        nvml: The `pynvml` module, started.
        pid: Number of the process.
    """

    def __init__(self, nvml: Any, pid: int | None = None) -> None:
        self._nvml = nvml
        self._pid = os.getpid() if pid is None else pid
        self._gpu = _first_visible(nvml)
        self._before = self._used()

    def process_mib(self) -> float:
        """What the whole process takes now."""
        for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._gpu):
            if process.pid == self._pid and process.usedGpuMemory:
                return float(process.usedGpuMemory / MIB)
        return self._used() - self._before

    def peak_process_mib(self) -> float:
        """The most that the process took: now, or when torch's allocator had reserved the most."""
        returned = torch.cuda.max_memory_reserved() - torch.cuda.memory_reserved()
        return self.process_mib() + returned / MIB

    def driver_version(self) -> str:
        """Version of NVIDIA's driver."""
        return str(self._nvml.nvmlSystemGetDriverVersion())

    def _used(self) -> float:
        return float(self._nvml.nvmlDeviceGetMemoryInfo(self._gpu).used / MIB)


@cache
def process_meter() -> GpuMeter | None:
    """Return this process's meter, made at the first call; None where there is no NVML.

    Call it before the process's first use of CUDA: a worker that trains several members keeps its meter.
    """
    try:
        return GpuMeter(load_nvml())
    except InputError:
        return None


def _first_visible(nvml: Any) -> Any:
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(first))
    return nvml.nvmlDeviceGetHandleByUUID(first)
