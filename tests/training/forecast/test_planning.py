from pathlib import Path

import pytest
import torch

from tune_paddy.core.calibration import Calibration
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.training.devices import Device
from tune_paddy.training.forecast import planning
from tune_paddy.training.forecast.calibration_files import save_calibration
from tune_paddy.training.forecast.planning import (
    Gpu,
    Share,
    find_gpu,
    find_trials_gpu,
    plan_trial,
    plan_unforecast_trial,
)

EXACT = Calibration(name="exact", context_mib=500, slack=1)
MEMBER = MemberConfig(arch="test_vit", pretrained=False, size=64, batch_size=16)


@pytest.mark.parametrize(
    ("share", "stated", "cap_mib"),
    [(0.25, False, 3500), (0.25, True, 3500), (1.0, False, None), (1.0, True, 15_500)],
)
def test_the_allocator_is_capped_if_the_gpu_is_shared_or_a_smaller_one_is_specified(
    share: float, stated: bool, cap_mib: float | None
) -> None:
    memory = plan_trial(MEMBER, Gpu(16_000, EXACT, stated=stated), share, n_classes=10)
    assert memory.allocator_mib == cap_mib
    assert memory.context_mib == 500


def test_trials_limited_to_less_memory_still_use_the_calibration_of_their_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUNE_PADDY_CACHE", str(tmp_path))
    save_calibration(EXACT.model_copy(update={"gpu": "Tesla T4"}))
    monkeypatch.setattr(planning, "load_nvml", object)
    monkeypatch.setattr(planning, "visible_gpu", lambda _nvml: ("Tesla T4", 14_910.0))
    whole, part = find_trials_gpu(), find_trials_gpu(9000)
    assert (whole.mib, whole.calibration.name, whole.stated) == (14_910, "exact", False)
    assert (part.mib, part.calibration.name, part.stated) == (9000, "exact", True)


def test_trials_of_a_cluster_are_planned_without_a_local_gpu_if_its_memory_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_driver() -> object:
        raise InputError("NVIDIA's driver does not respond")

    monkeypatch.setattr(planning, "load_nvml", no_driver)
    assert find_trials_gpu(9000).calibration.name == "generic"
    with pytest.raises(
        InputError, match=r"does not respond\); give the memory of yours in MiB, such as `gpu_memory=16280`$"
    ):
        find_trials_gpu()


@pytest.mark.parametrize(
    ("share", "stated", "given", "cap_mib"),
    [
        (0.25, False, 0.25, 3500),
        (0.25, True, 0.25, 3500),
        ("auto", False, 1.0, None),
        ("auto", True, 1.0, 15_500),
        (1.0, True, 1.0, 15_500),
    ],
)
def test_a_trial_without_a_forecast_is_still_capped_at_its_share(
    share: Share, stated: bool, given: float, cap_mib: float | None
) -> None:
    memory = plan_unforecast_trial(MEMBER, Gpu(16_000, EXACT, stated=stated), share)
    assert (memory.gpu, memory.allocator_mib, memory.context_mib) == (given, cap_mib, 500)
    assert memory.budget_mib == 16_000 * given
    assert (memory.forecast_mib, memory.accum) == (0, 1)


@pytest.mark.parametrize(
    ("name", "mib", "stated"),
    [("Tesla P100", None, True), (None, 9000.0, True), ("Tesla P100", 9000.0, True)],
)
def test_a_gpu_given_by_name_or_memory_counts_as_stated(
    name: str | None, mib: float | None, stated: bool
) -> None:
    assert find_gpu(name, mib).stated is stated


def test_a_cap_is_a_share_of_the_installed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """16,000 MiB of an 80 GiB GPU, even if the plan is for a smaller GPU."""
    shares: list[float] = []
    properties = type("Properties", (), {"total_memory": 80_000 * 2**20})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: properties)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)
    for mib in (16_000, None, 99_000):
        Device("cuda", "bf16").limit_memory(mib)
    Device("cpu", "fp32").limit_memory(16_000)
    assert shares == [0.2, 1.0, 1.0]
