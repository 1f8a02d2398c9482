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
    """What the library raises."""


@dataclass
class Nvml:
    """A driver with one GPU: what it would say, and which GPU it was asked for."""

    used_mib: float = 0
    processes: dict[int, int | None] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    silent: bool = False
    reserved_mib: float | None = None
    NVMLError: type[Exception] = NvmlError
    nvmlMemory_v2: int = 2  # noqa: N815 NVML's name

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
        self._answer()
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes.items()]

    def nvmlDeviceGetName(self, gpu: str) -> str:  # noqa: N802 NVML's name
        """Of the GPU."""
        assert gpu == "gpu"
        self._answer()
        return "Tesla T4"

    def nvmlDeviceGetMemoryInfo(self, gpu: str, version: int | None = None) -> SimpleNamespace:  # noqa: N802
        """What all of them take, and there is; what the driver itself takes, newer drivers tell."""
        assert gpu == "gpu"
        self._answer()
        total = 15360 * MIB
        if version is None:
            return SimpleNamespace(used=self.used_mib * MIB, total=total)
        if self.reserved_mib is None:
            raise NvmlError("Function Not Found")
        return SimpleNamespace(used=self.used_mib * MIB, total=total, reserved=self.reserved_mib * MIB)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802 NVML's name
        """Of the driver."""
        self._answer()
        return "580.95"

    def _answer(self) -> None:
        if self.silent:
            raise NvmlError("Not Supported")


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


@pytest.mark.parametrize(("reserved_mib", "usable_mib"), [(450, 14_910), (None, 15_360)])
def test_what_the_driver_keeps_for_itself_is_not_there_for_trials(
    reserved_mib: float | None, usable_mib: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old drivers do not tell; and the GPU is that of this process, not the machine's first."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    nvml = Nvml(reserved_mib=reserved_mib)
    assert visible_gpu(nvml) == ("Tesla T4", usable_mib)
    assert nvml.asked == [1]


def test_a_gpu_that_the_driver_does_not_tell_of_is_a_sentence() -> None:
    with pytest.raises(InputError, match="does not tell of this GPU's memory: Not Supported"):
        visible_gpu(Nvml(silent=True))


def test_memory_that_the_allocator_gave_back_still_counts_at_the_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.max_memory_reserved", lambda: 900 * MIB)
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda: 400 * MIB)
    meter = GpuMeter(Nvml(processes={2: 1000 * MIB}), pid=2)
    assert meter.peak_process_mib() == 1000 + (900 - 400)


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of torch's allocator, 400 MiB are reserved now."""
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda: 400 * MIB)


def peak_of(nvml: Nvml, *, alone: bool, came_mib: float = 0) -> Peak:
    """Peak of a process whose allocator had 900 MiB, after `came_mib` came onto the GPU."""
    meter = GpuMeter(nvml, pid=2)
    nvml.used_mib += came_mib
    return measure_peak(meter, alone=alone, reserved_mib=900, context_mib=700)


@pytest.mark.usefixtures("reserved")
@pytest.mark.parametrize("alone", [True, False])
def test_where_the_driver_knows_the_process_its_context_is_measured(alone: bool) -> None:
    """1,000 MiB now, of which 400 are torch's: 600 beside the allocator's peak."""
    nvml = Nvml(used_mib=9000, processes={1: 7000 * MIB, 2: 1000 * MIB})
    assert peak_of(nvml, alone=alone, came_mib=5000) == Peak(900 + 600, "process")


@pytest.mark.usefixtures("reserved")
def test_a_process_that_has_the_gpu_to_itself_is_what_came_onto_it() -> None:
    assert peak_of(Nvml(used_mib=300), alone=True, came_mib=1000) == Peak(900 + 600, "alone")


@pytest.mark.usefixtures("reserved")
def test_a_neighbours_memory_is_not_taken_for_its_own() -> None:
    """In a container on a shared GPU the context is assumed, and the figure says so."""
    assert peak_of(Nvml(used_mib=300), alone=False, came_mib=8000) == Peak(900 + 700, "assumed")


@pytest.mark.usefixtures("reserved")
@pytest.mark.parametrize("came_mib", [20_000, 100, -3000])
def test_a_gpu_that_was_not_its_own_after_all_is_not_believed(came_mib: float) -> None:
    """More came than any context takes, or less than torch holds: somebody else came or went."""
    assert peak_of(Nvml(used_mib=5000), alone=True, came_mib=came_mib) == Peak(900 + 700, "assumed")


@pytest.mark.usefixtures("reserved")
def test_a_driver_that_falls_silent_costs_no_trial() -> None:
    nvml = Nvml(processes={2: 1000 * MIB})
    meter = GpuMeter(nvml, pid=2)
    nvml.silent = True
    peak = measure_peak(meter, alone=True, reserved_mib=900, context_mib=700)
    assert peak == Peak(1600, "assumed")


def test_a_driver_that_never_spoke_is_no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_paddy.training.gpu_memory.load_nvml", lambda: Nvml(silent=True))
    assert process_meter.__wrapped__() is None
    assert driver_version.__wrapped__() is None
    assert measure_peak(None, alone=True, reserved_mib=900, context_mib=700) == Peak(1600, "assumed")


def test_the_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tune_paddy.training.gpu_memory.load_nvml", Nvml)
    assert driver_version.__wrapped__() == "580.95"


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
