from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tune_paddy.core.errors import InputError
from tune_paddy.training.devices import Device, pick_device, resize_uint8


@pytest.fixture
def have(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that pretends that this machine has CUDA, bf16 or MPS."""

    def pretend(*, cuda: bool = False, bf16: bool = False, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla P100")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("machine", "precision", "expected"),
    [
        ({}, "auto", ("cpu", "fp32")),
        ({}, "fp32", ("cpu", "fp32")),
        ({}, "fp16", ("cpu", "fp32")),
        ({}, "bf16", ("cpu", "bf16")),
        ({"cuda": True, "bf16": True}, "auto", ("cuda", "bf16")),
        ({"cuda": True, "bf16": True}, "fp16", ("cuda", "fp16")),
        ({"cuda": True, "bf16": True}, "bf16", ("cuda", "bf16")),
        ({"cuda": True, "bf16": True}, "fp32", ("cuda", "fp32")),
        ({"cuda": True, "mps": True}, "auto", ("cuda", "fp16")),
        ({"cuda": True}, "fp32", ("cuda", "fp32")),
        ({"mps": True}, "auto", ("mps", "fp32")),
        ({"mps": True}, "fp16", ("mps", "fp32")),
        ({"mps": True}, "bf16", ("mps", "fp32")),
    ],
)
def test_the_best_device_is_picked_with_a_precision_that_it_supports(
    have: Any, machine: dict[str, bool], precision: str, expected: tuple[str, str]
) -> None:
    have(**machine)
    device = pick_device(precision)
    assert (device.type, device.precision) == expected
    assert device.torch.type == device.type


@pytest.mark.parametrize("machine", [{"cuda": True, "bf16": True}, {"mps": True}])
def test_a_trial_without_a_gpu_uses_the_cpu(have: Any, machine: dict[str, bool]) -> None:
    have(**machine)
    assert pick_device("auto", allow_gpu=False) == Device("cpu", "fp32")


def test_bf16_on_a_gpu_without_it_is_refused_with_the_gpus_name(have: Any) -> None:
    have(cuda=True)
    with pytest.raises(InputError, match="Tesla P100 does not support bf16; use fp16"):
        pick_device("bf16")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_autocast_runs_products_in_the_precision_and_keeps_the_parameters(
    precision: str, dtype: torch.dtype
) -> None:
    linear = nn.Linear(4, 4)
    with Device("cpu", precision).autocast():
        assert linear(torch.rand(2, 4)).dtype == dtype
    assert linear.weight.dtype == torch.float32


@pytest.mark.parametrize(("precision", "enabled"), [("fp32", False), ("bf16", False), ("fp16", True)])
def test_only_fp16_scales_its_loss(precision: str, enabled: bool) -> None:
    assert Device("cpu", precision).grad_scaler().is_enabled() is enabled


def test_a_gpus_peak_starts_from_the_memory_still_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory that earlier members of the process left cached is freed before the count starts."""
    calls: list[str] = []
    for name in ("empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda name=name: calls.append(name))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 3 * 2**20)
    device = Device("cuda", "fp32")
    device.reset_peak()
    assert calls == ["empty_cache", "reset_peak_memory_stats"]
    assert device.peak_mib() == 3


def test_the_cpu_needs_no_synchronization_and_has_no_peak() -> None:
    Device("cpu", "fp32").synchronize()
    Device("cpu", "fp32").reset_peak()
    assert Device("cpu", "fp32").peak_mib() == 0


IMAGES = (torch.arange(2 * 3 * 12 * 18) * 37 % 256).to(torch.uint8).reshape(2, 3, 12, 18)


@pytest.mark.parametrize("size", [(6, 9), (5, 7), (24, 20), (12, 18), (1, 1)])
@pytest.mark.parametrize("antialias", [False, True])
def test_bytes_are_resized_like_floats_up_to_rounding(size: tuple[int, int], antialias: bool) -> None:
    """CUDA resizes floats, a CPU bytes."""
    floats = F.interpolate(IMAGES.to(torch.float32), size, mode="bilinear", antialias=antialias)
    resized = resize_uint8(IMAGES, size, antialias=antialias)
    assert resized.dtype == torch.uint8
    assert (resized - floats).abs().max() <= 1


class OnMps(Tensor):
    """A tensor that claims to be on MPS, and counts its copies to the CPU."""

    copies = 0

    @property
    def device(self) -> torch.device:
        return torch.device("mps")

    def cpu(self) -> "OnCpu":
        OnMps.copies += 1
        return self.as_subclass(OnCpu)


class OnCpu(Tensor):
    """Its copy on the CPU, which can only move back to MPS."""

    def to(self, device: torch.device) -> OnMps:
        assert device.type == "mps"
        return self.as_subclass(OnMps)


def test_mps_falls_back_to_the_cpu_for_resizing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnMps, "copies", 0)
    resized = resize_uint8(IMAGES.as_subclass(OnMps), (5, 7), antialias=True)
    assert isinstance(resized, OnMps)
    assert OnMps.copies == 1
    assert torch.equal(resized.as_subclass(Tensor), resize_uint8(IMAGES, (5, 7), antialias=True))
