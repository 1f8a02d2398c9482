import functools
from dataclasses import replace
from pathlib import Path

import pytest

from tune_paddy.core.calibration import CalibrationPoint
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.training.devices import Device
from tune_paddy.training.forecast import calibrate
from tune_paddy.training.forecast.calibrate import (
    PROBES,
    Probe,
    Reading,
    calibrate_gpu,
    measure_afresh,
    measure_point,
    measure_probe,
)
from tune_paddy.training.forecast.footprint import forecast

VERSIONS = {"torch": "2.15", "driver": "570"}
SMALL = Probe("test_efficientnet", (64, 64), 4)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNE_PADDY_CACHE", str(tmp_path / "cache"))


def measured(probe: Probe, *, context_mib: float, slack: float) -> Reading:
    """Return the reading of a GPU with exactly these constants; raw figures grow with the micro-batch."""
    raw = 100.0 * probe.micro_batch
    point = CalibrationPoint(label=probe.label, raw_mib=raw, process_mib=context_mib + slack * raw)
    return Reading(point, "Tesla T4", VERSIONS)


def test_calibration_recovers_the_constants_of_a_gpu_and_records_their_source() -> None:
    calibration = calibrate_gpu("mine", measure=functools.partial(measured, context_mib=612, slack=1.08))
    assert calibration.context_mib == pytest.approx(612, abs=0.1)
    assert calibration.slack == pytest.approx(1.08, abs=0.001)
    assert (calibration.name, calibration.gpu, calibration.versions) == ("mine", "Tesla T4", VERSIONS)
    assert [point.label for point in calibration.points] == [probe.label for probe in PROBES]


def test_a_network_that_does_not_fit_is_skipped_and_reported() -> None:
    lines: list[str] = []
    calibration = calibrate_gpu(
        "small",
        measure=lambda probe: (
            None if probe.arch.startswith("vit") else measured(probe, context_mib=600, slack=1.1)
        ),
        report=lines.append,
    )
    assert len(calibration.points) == len(PROBES) - 1
    assert [line for line in lines if "does not fit" in line] == [
        "vit_large_patch16_224 224x224, 16 at once: does not fit, skipped"
    ]


def test_a_calibration_is_named_after_its_gpu_and_software() -> None:
    made = calibrate_gpu(measure=functools.partial(measured, context_mib=600, slack=1.1))
    assert made.name == "Tesla T4, torch 2.15, driver 570"


def test_a_driver_without_memory_per_process_is_reported_once() -> None:
    lines: list[str] = []
    calibrate_gpu(
        measure=lambda probe: replace(measured(probe, context_mib=600, slack=1.1), told_apart=False),
        report=lines.append,
    )
    expected = "The driver does not report memory per process here"
    assert [line.startswith(expected) for line in lines].count(True) == 1


def test_a_gpu_that_no_probe_fits_is_refused() -> None:
    with pytest.raises(TunePaddyError, match="none of the probe networks fits this GPU"):
        calibrate_gpu("tiny", measure=lambda _: None)


class CpuMeter:
    """Stands for a GPU's driver; the training that it measures is real."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def process_mib(self) -> float:
        """Return the context, before the training."""
        self.reads.append("context")
        return 500.0

    def peak_process_mib(self) -> float:
        """Return the peak, after the training."""
        self.reads.append("peak")
        return 900.0

    def knows_process(self) -> bool:
        """Return False, as a driver in a container."""
        return False


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_point_reads_the_context_before_the_training_and_the_peak_after_it(precision: str) -> None:
    """The training and the evaluation are real, on the CPU."""
    meter = CpuMeter()
    point = measure_point(SMALL, Device("cpu", precision), meter)
    assert meter.reads == ["context", "peak"]
    assert (point.context_mib, point.process_mib) == (500.0, 900.0)
    assert point.raw_mib == forecast(SMALL.arch, SMALL.size, precision=precision).raw_mib(SMALL.micro_batch)
    assert point.label == f"test_efficientnet 64x64, 4 at once, {precision}"


class _NoMeter(CpuMeter):
    def __init__(self, nvml: object) -> None:
        del nvml
        super().__init__()


@pytest.mark.parametrize("message", ["CUDA out of memory. Tried to allocate", "CUBLAS_STATUS_ALLOC_FAILED"])
def test_out_of_memory_gives_no_reading(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> CalibrationPoint:
        raise RuntimeError(message)

    monkeypatch.setattr(calibrate, "load_nvml", object)
    monkeypatch.setattr(calibrate, "GpuMeter", _NoMeter)
    monkeypatch.setattr(calibrate, "pick_device", lambda: Device("cuda", "fp16"))
    monkeypatch.setattr(calibrate, "measure_point", fail)
    assert measure_probe(SMALL) is None


def test_any_other_error_propagates(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> CalibrationPoint:
        raise ValueError("a mistake")

    monkeypatch.setattr(calibrate, "load_nvml", object)
    monkeypatch.setattr(calibrate, "GpuMeter", _NoMeter)
    monkeypatch.setattr(calibrate, "pick_device", lambda: Device("cuda", "fp16"))
    monkeypatch.setattr(calibrate, "measure_point", fail)
    with pytest.raises(ValueError, match="a mistake"):
        measure_probe(SMALL)


def test_without_a_driver_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise InputError("NVIDIA's driver does not respond")

    monkeypatch.setattr(calibrate, "load_nvml", no_driver)
    monkeypatch.setattr(calibrate, "ProcessPoolExecutor", lambda **_: pytest.fail("a process was started"))
    with pytest.raises(InputError, match="does not respond"):
        measure_afresh(SMALL)


def test_a_missing_gpu_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "load_nvml", object)
    monkeypatch.setattr(calibrate, "GpuMeter", _NoMeter)
    monkeypatch.setattr(calibrate, "pick_device", lambda: Device("cpu", "fp32"))
    with pytest.raises(InputError, match="no GPU"):
        measure_probe(SMALL)
