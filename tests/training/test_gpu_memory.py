import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import MIB
from tune_paddy.training.gpu_memory import GpuMeter, load_nvml


@dataclass
class Nvml:
    """A driver with one GPU: what it would say, and which GPU it was asked for."""

    used_mib: float = 0
    processes: dict[int, int | None] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802 NVML's name
        """By its place in the machine."""
        self.asked.append(index)
        return "gpu"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 NVML's name
        """By its own name."""
        self.asked.append(uuid)
        return "gpu"

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: str) -> list[SimpleNamespace]:  # noqa: N802 the same
        """What each process takes, where the driver tells."""
        assert gpu == "gpu"
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes.items()]

    def nvmlDeviceGetMemoryInfo(self, gpu: str) -> SimpleNamespace:  # noqa: N802 NVML's name
        """What all of them take."""
        assert gpu == "gpu"
        return SimpleNamespace(used=self.used_mib * MIB)


def test_the_driver_tells_a_process_from_its_neighbours() -> None:
    nvml = Nvml(used_mib=9000, processes={1: 7000 * MIB, 2: 1500 * MIB})
    assert GpuMeter(nvml, pid=2).process_mib() == 1500


@pytest.mark.parametrize("processes", [{}, {2: None}, {77: 5000 * MIB}], ids=["none", "untold", "renumbered"])
def test_where_the_driver_does_not_know_the_process_what_came_since_counts(
    processes: dict[int, int | None],
) -> None:
    """In a container its number is another one; under some drivers nothing is told."""
    nvml = Nvml(used_mib=300, processes=processes)
    meter = GpuMeter(nvml, pid=2)
    nvml.used_mib = 2300
    assert meter.process_mib() == 2000


@pytest.mark.parametrize(
    ("visible", "asked"),
    [(None, 0), ("3", 3), ("2,0", 2), ("GPU-5a1b,GPU-77", "GPU-5a1b"), ("MIG-0c", "MIG-0c")],
)
def test_the_gpu_is_the_first_that_this_process_sees(
    visible: str | None, asked: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    nvml = Nvml()
    GpuMeter(nvml)
    assert nvml.asked == [asked]


def test_memory_that_the_allocator_gave_back_still_counts_at_the_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.max_memory_reserved", lambda: 900 * MIB)
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda: 400 * MIB)
    meter = GpuMeter(Nvml(processes={2: 1000 * MIB}), pid=2)
    assert meter.peak_process_mib() == 1000 + (900 - 400)


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(InputError, match=r"pip install nvidia-ml-py"):
        load_nvml()


def test_without_a_driver_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class NVMLError(Exception):
        pass

    def init() -> None:
        raise NVMLError("Driver Not Loaded")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=init, NVMLError=NVMLError))
    with pytest.raises(InputError, match="does not answer: Driver Not Loaded"):
        load_nvml()
