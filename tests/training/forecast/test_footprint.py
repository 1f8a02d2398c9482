from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.memory import MIB
from tune_paddy.training.forecast import forward_pass
from tune_paddy.training.forecast.footprint import forecast
from tune_paddy.training.forecast.forward_pass import measure, saved_bytes
from tune_paddy.training.forecast.measurements import ForwardCache, Subject
from tune_paddy.training.networks.model import build_model
from tune_paddy.training.optimizer import optimizer_factory, split_parameters

# Families that differ in construction, casts, attention or state.
FAMILIES = [
    ("test_resnet", (96, 64)),
    ("test_efficientnet", (96, 96)),
    ("test_vit", (160, 160)),
    ("test_convnext", (96, 96)),
    ("tiny_swin", (224, 224)),
    ("tiny_swinv2", (256, 256)),
    ("convit_tiny", (224, 224)),  # replaces a buffer in its first pass
    ("mobilevit_xxs", (256, 256)),  # narrow heads
    ("naflexvit_base_patch16_parfac_gap", (256, 192)),  # patches of any shape
    ("efficientvit_b0", (224, 224)),  # reads its tensors' device
    ("levit_128s", (224, 224)),
    ("resnest14d", (224, 224)),
]


@pytest.mark.parametrize(("arch", "size"), FAMILIES)
def test_every_family_is_forecast_and_needs_more_memory_for_more_images(
    arch: str, size: tuple[int, int], tmp_path: Path
) -> None:
    footprint = forecast(arch, size, cache=tmp_path)
    weights = 16 * footprint.parameters / MIB
    assert weights < footprint.raw_mib(1, 64) < footprint.raw_mib(8, 64) < footprint.raw_mib(64, 64)
    assert 0 < footprint.eval_bytes_per_image < footprint.saved_bytes_per_image


@pytest.mark.parametrize(
    ("arch", "precision"),
    [
        ("test_vit", "fp32"),
        ("test_vit", "fp16"),
        ("test_efficientnet", "fp16"),
        ("test_efficientnet", "bf16"),
        ("tiny_swinv2", "fp16"),
    ],
)
def test_two_batch_sizes_predict_all_others_to_the_byte(arch: str, precision: str) -> None:
    size = (256, 256) if arch == "tiny_swinv2" else (160, 160)
    subject = Subject(arch, size, 10, precision)
    fixed, per_image = measure(subject).saved
    with torch.device("meta"):
        model = build_model(arch, 10, size=size)
        for n in (4, 7):
            assert saved_bytes(model, torch.zeros(n, 3, *size), subject) == fixed + n * per_image


@pytest.mark.parametrize("arch", ["test_vit", "test_efficientnet", "test_convnext"])
def test_a_frozen_body_saves_less_than_a_trained_one(arch: str) -> None:
    """Epochs with a frozen body, whose norms still train, are thus never the peak."""
    subject = Subject(arch, (160, 160), 10, "fp16")
    with torch.device("meta"):
        model = build_model(arch, 10, size=(160, 160))
        images = torch.zeros(4, 3, 160, 160)
        trained = saved_bytes(model, images, subject)
        for module in model[0].modules():
            if not isinstance(module, _NormBase | nn.LayerNorm):
                for parameter in module.parameters(recurse=False):
                    parameter.requires_grad_(False)
        assert saved_bytes(model, images, subject) <= trained


@pytest.mark.parametrize("unfused", [False, True])
def test_the_meta_device_and_the_cpu_give_the_same_memory(unfused: bool) -> None:
    """Networks that need values while they run fall back to the CPU."""
    for arch in ("test_vit", "test_efficientnet"):
        subject = Subject(arch, (64, 64), 10, "bf16", unfused=unfused)
        on_meta = forward_pass._measure_on("meta", subject)
        assert forward_pass._measure_on("cpu", subject) == on_meta


class _NeedsValues(nn.Module):
    """A network whose forward pass reads a value, which a meta tensor does not have."""

    convolutional = False

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 8 * 8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scale = 1.0 if images.sum().item() >= 0 else -1.0
        return self.layer(images.flatten(1) * scale)


def test_a_network_that_needs_values_is_measured_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward_pass, "build_model", lambda *_, **__: nn.Sequential(_NeedsValues()))
    memory = measure(Subject("any", (8, 8), 10, "fp32"))
    # the scaled images, and the loss's log probabilities with its total weight
    assert memory.parameters == 3 * 8 * 8 * 10 + 10
    assert memory.saved[1] >= 3 * 8 * 8 * 4 + 10 * 4


class Misfit(nn.Linear):
    """A body that accepts no images."""

    convolutional = False


def test_a_network_that_cannot_run_is_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward_pass, "build_model", lambda *_, **__: nn.Sequential(Misfit(5, 5)))
    with pytest.raises(TunePaddyError, match="the memory of odd cannot be forecast: "):
        measure(Subject("odd", (8, 8), 10, "fp32"))


def test_half_precision_saves_less_and_unfused_attention_more(tmp_path: Path) -> None:
    def raw(**options: Any) -> float:
        return forecast("test_vit", (160, 160), cache=tmp_path, **options).raw_mib(64)

    assert raw(precision="fp16") == raw(precision="bf16") < raw(precision="fp32")
    assert raw(precision="fp16") < raw(precision="fp16", unfused=True)


def test_sgd_keeps_one_moment_less_than_adamw(tmp_path: Path) -> None:
    adamw = forecast("test_vit", (160, 160), cache=tmp_path)
    sgd = forecast("test_vit", (160, 160), optimizer="sgd", cache=tmp_path)
    assert adamw.state_bytes - sgd.state_bytes == 4 * adamw.parameters
    assert replace(adamw, state_bytes=0) == replace(sgd, state_bytes=0)


@pytest.fixture(scope="module")
def tiny() -> nn.Sequential:
    """A vision transformer with gradients."""
    model = build_model("test_vit", 10, size=(160, 160))
    model(torch.zeros(2, 3, 160, 160)).sum().backward()
    return model


@pytest.mark.parametrize("name", get_args(MemberConfig.model_fields["optimizer"].annotation))
def test_the_moments_of_an_optimizer_are_those_that_it_keeps(
    name: str, tiny: nn.Sequential, tmp_path: Path, make_config: Callable[..., MemberConfig]
) -> None:
    """Muon keeps one moment of a matrix and two of another parameter; the forecast counts two of each."""
    optimizer = optimizer_factory(make_config(optimizer=name))(split_parameters(tiny), lr=1e-9)
    optimizer.step()
    kept = [
        tensor.nbytes
        for parameter, values in optimizer.opt.state.items()
        for tensor in values.values()
        if isinstance(tensor, torch.Tensor) and tensor.shape == parameter.shape
    ]
    footprint = forecast("test_vit", (160, 160), optimizer=name, cache=tmp_path)
    states = sum(tensor.nbytes for tensor in (*tiny.parameters(), *tiny.buffers()))
    gradients = 4 * footprint.parameters
    moments = footprint.state_bytes - states - gradients
    assert sum(kept) == moments or (name == "muon" and moments / 2 <= sum(kept) < moments)


def test_an_average_is_one_more_copy_of_parameters_and_buffers(tmp_path: Path) -> None:
    plain, averaged = (
        forecast("test_resnet", (96, 96), ema=ema, cache=tmp_path).state_bytes for ema in (False, True)
    )
    model = build_model("test_resnet", 10, size=(96, 96))
    copy = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    assert averaged - plain == copy


def test_the_layout_of_images_does_not_change_the_saved_bytes(tmp_path: Path) -> None:
    usual = forecast("test_efficientnet", (96, 96), cache=tmp_path)
    assert forecast("test_efficientnet", (96, 96), channels_last=True, cache=tmp_path) == usual


def test_larger_items_count_in_evaluation(tmp_path: Path) -> None:
    same = forecast("test_vit", (160, 160), cache=tmp_path)
    larger = forecast("test_vit", (160, 160), item_size=(480, 640), cache=tmp_path)
    gained = larger.eval_bytes_per_image - same.eval_bytes_per_image
    assert gained == 3 * (480 * 640 - 160 * 160)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arch": "resnet51"}, "no model 'resnet51'"),
        ({"precision": "fp8"}, "precision 'fp8' is not one of"),
        ({"optimizer": "adagrad"}, "optimizer 'adagrad' is not one of"),
        ({"n_classes": 0}, "among 0 classes"),
    ],
)
def test_invalid_arguments_are_refused(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        forecast(**{"arch": "test_vit", "size": (160, 160), "cache": tmp_path, **options})


def test_a_forecast_does_not_change_the_random_state(tmp_path: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    forecast("test_efficientnet", (96, 96), cache=tmp_path)
    torch.testing.assert_close(torch.rand(3), expected)


def test_a_second_forecast_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = forecast("test_vit", (160, 160), cache=tmp_path)
    monkeypatch.setattr(forward_pass, "measure", lambda _: pytest.fail("measured again"))
    assert forecast("test_vit", (160, 160), cache=tmp_path) == first


def test_a_damaged_entry_is_measured_again(tmp_path: Path) -> None:
    first = forecast("test_vit", (160, 160), cache=tmp_path)
    (entry,) = tmp_path.iterdir()
    entry.write_text(entry.read_text("utf-8")[:40], "utf-8")
    assert forecast("test_vit", (160, 160), cache=tmp_path) == first
    assert ForwardCache(tmp_path).get(Subject("test_vit", (160, 160), 10, "fp16")) is not None
