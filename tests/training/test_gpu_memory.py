import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.core.memory import MIB
from tune_paddy.training.gpu_memory import (
    GpuMeter,
    Peak,
    driver_version,
    load_nvml,
    measure_peak,
    process_meter,
    visible_gpu,
)


class NvmlError(Exception):
    """Stands for the library's error."""


@dataclass
class Nvml:
    """A driver with one GPU: the values that it reports, and the GPUs that were requested."""

    used_mib: float = 0
    processes: dict[int, int | None] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    silent: bool = False
    reserved_mib: float | None = None
    NVMLError: type[Exception] = NvmlError
    nvmlMemory_v2: int = 2  # noqa: N815 NVML's name

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802 NVML's name
        """Return the GPU with this index."""
        self.asked.append(index)
        return "gpu"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802 NVML's name
        """Return the GPU with this UUID."""
        self.asked.append(uuid)
        return "gpu"

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: str) -> list[SimpleNamespace]:  # noqa: N802 the same
        """Return the memory of each process, None if the driver does not report it."""
        assert gpu == "gpu"
        self._answer()
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes.items()]

    def nvmlDeviceGetName(self, gpu: str) -> str:  # noqa: N802 NVML's name
        """Return the name of the GPU."""
        assert gpu == "gpu"
        self._answer()
        return "Tesla T4"

    def nvmlDeviceGetMemoryInfo(self, gpu: str, version: int | None = None) -> SimpleNamespace:  # noqa: N802
        """Return the used and total memory, and that reserved by the driver if it is a newer one."""
        assert gpu == "gpu"
        self._answer()
        total = 15360 * MIB
        if version is None:
            return SimpleNamespace(used=self.used_mib * MIB, total=total)
        if self.reserved_mib is None:
            raise NvmlError("Function Not Found")
        return SimpleNamespace(used=self.used_mib * MIB, total=total, reserved=self.reserved_mib * MIB)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802 NVML's name
        """Return the version of the driver."""
        self._answer()
        return "580.95"

    def _answer(self) -> None:
        if self.silent:
            raise NvmlError("Not Supported")


def test_the_driver_separates_a_process_from_its_neighbours() -> None:
    nvml = Nvml(used_mib=9000, processes={1: 7000 * MIB, 2: 1500 * MIB})
    assert GpuMeter(nvml, pid=2).process_mib() == 1500


@pytest.mark.parametrize("processes", [{}, {2: None}, {77: 5000 * MIB}], ids=["none", "hidden", "renumbered"])
def test_if_the_driver_does_not_know_the_process_the_increase_counts(
    processes: dict[int, int | None],
) -> None:
    """In a container its process ID differs; some drivers report nothing."""
    nvml = Nvml(used_mib=300, processes=processes)
    meter = GpuMeter(nvml, pid=2)
    nvml.used_mib = 2300
    assert meter.process_mib() == 2000


@pytest.mark.parametrize(
    ("visible", "asked"),
    [(None, 0), ("3", 3), ("2,0", 2), ("GPU-5a1b,GPU-77", "GPU-5a1b"), ("MIG-0c", "MIG-0c")],
)
def test_the_gpu_is_the_first_visible_one(
    visible: str | None, asked: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    nvml = Nvml()
    GpuMeter(nvml)
    assert nvml.asked == [asked]


@pytest.mark.parametrize(("reserved_mib", "usable_mib"), [(450, 14_910), (None, 15_360)])
def test_memory_reserved_by_the_driver_is_not_usable_by_trials(
    reserved_mib: float | None, usable_mib: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old drivers do not report it; and the GPU is that of this process, not the machine's first."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    nvml = Nvml(reserved_mib=reserved_mib)
    assert visible_gpu(nvml) == ("Tesla T4", usable_mib)
    assert nvml.asked == [1]


def test_a_gpu_that_the_driver_does_not_report_raises_a_clear_error() -> None:
    with pytest.raises(InputError, match="does not report this GPU's memory: Not Supported"):
        visible_gpu(Nvml(silent=True))


def test_memory_that_the_allocator_returned_still_counts_at_the_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.max_memory_reserved", lambda: 900 * MIB)
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda: 400 * MIB)
    meter = GpuMeter(Nvml(processes={2: 1000 * MIB}), pid=2)
    assert meter.peak_process_mib() == 1000 + (900 - 400)


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch's allocator report 400 MiB reserved now."""
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda: 400 * MIB)


def peak_of(nvml: Nvml, *, alone: bool, came_mib: float = 0) -> Peak:
    """Return the peak of a process whose allocator had 900 MiB, after an increase of `came_mib`."""
    meter = GpuMeter(nvml, pid=2)
    nvml.used_mib += came_mib
    return measure_peak(meter, alone=alone, reserved_mib=900, context_mib=700)


@pytest.mark.usefixtures("reserved")
@pytest.mark.parametrize("alone", [True, False])
def test_if_the_driver_knows_the_process_its_context_is_measured(alone: bool) -> None:
    """1,000 MiB now, of which 400 are torch's: 600 outside the allocator."""
    nvml = Nvml(used_mib=9000, processes={1: 7000 * MIB, 2: 1000 * MIB})
    assert peak_of(nvml, alone=alone, came_mib=5000) == Peak(900 + 600, "process")


@pytest.mark.usefixtures("reserved")
def test_for_a_process_alone_on_the_gpu_the_increase_is_its_memory() -> None:
    assert peak_of(Nvml(used_mib=300), alone=True, came_mib=1000) == Peak(900 + 600, "alone")


@pytest.mark.usefixtures("reserved")
def test_a_neighbours_memory_is_not_counted_as_its_own() -> None:
    """In a container on a shared GPU the context is assumed, and the source of the figure says so."""
    assert peak_of(Nvml(used_mib=300), alone=False, came_mib=8000) == Peak(900 + 700, "assumed")


@pytest.mark.usefixtures("reserved")
@pytest.mark.parametrize("came_mib", [20_000, 100, -3000])
def test_an_implausible_increase_of_a_gpus_memory_is_ignored(came_mib: float) -> None:
    """More than any context takes, or less than torch holds: another process started or ended."""
    assert peak_of(Nvml(used_mib=5000), alone=True, came_mib=came_mib) == Peak(900 + 700, "assumed")


@pytest.mark.usefixtures("reserved")
def test_a_driver_that_stops_responding_fails_no_trial() -> None:
    nvml = Nvml(processes={2: 1000 * MIB})
    meter = GpuMeter(nvml, pid=2)
    nvml.silent = True
    peak = measure_peak(meter, alone=True, reserved_mib=900, context_mib=700)
    assert peak == Peak(1600, "assumed")


def test_a_driver_that_never_responds_gives_no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_paddy.training.gpu_memory.load_nvml", lambda: Nvml(silent=True))
    assert process_meter.__wrapped__() is None
    assert driver_version.__wrapped__() is None
    assert measure_peak(None, alone=True, reserved_mib=900, context_mib=700) == Peak(1600, "assumed")


def test_the_driver_version_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_paddy.training.gpu_memory.load_nvml", Nvml)
    assert driver_version.__wrapped__() == "580.95"


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(InputError, match=r"pip install nvidia-ml-py"):
        load_nvml()


def test_a_missing_driver_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class NVMLError(Exception):
        pass

    def init() -> None:
        raise NVMLError("Driver Not Loaded")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=init, NVMLError=NVMLError))
    with pytest.raises(InputError, match="does not respond: Driver Not Loaded"):
        load_nvml()
