"""The plan of a body: sizes that architectures accept, and the features that they give."""

from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
from torch import nn

from tune_paddy.training.networks import plan as plans
from tune_paddy.training.networks.plan import BodyPlan, check_arch, check_layers, plan_body


@pytest.mark.parametrize("arch", ["test_vit", "deit_tiny_patch16_224", "swinv2_tiny_window8_256"])
def test_fixed_size_transformers_are_built_for_the_size(arch: str) -> None:
    plan = plan_body(arch, (64, 96), 0.0)
    assert plan.options == {"img_size": (64, 96)}
    assert timm.create_model(arch, **plan.options).patch_embed.img_size == (64, 96)


def test_convolutional_networks_are_built_without_a_size() -> None:
    assert plan_body("test_resnet", (64, 96), 0.0).options == {}


def test_deprecated_names_build_today() -> None:
    assert check_arch("swinv2_tiny_window8_256", (64, 64)) is None
    assert check_arch("convnext_tiny_in22k", (64, 64)) is None


@pytest.mark.parametrize(
    ("arch", "size", "reason"),
    [
        ("test_vit", (100, 64), "Input height (100) should be divisible by patch size (16)."),
        ("csatv2", (16, 32), "Kernel size can't be greater than actual input size"),
        ("halonet_h1", (32, 32), "AssertionError"),
        ("gemma4_vit_167m_enc", (768, 768), "does not support classification"),
        ("resnet_18", (32, 32), "did you mean"),
    ],
)
def test_an_unsupported_size_gives_a_one_line_reason(arch: str, size: tuple[int, int], reason: str) -> None:
    sentence = check_arch(arch, size)
    assert sentence is not None
    assert arch in sentence
    assert reason in sentence
    assert "\n" not in sentence


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Device of each model that timm builds; plans made in the test are discarded."""
    seen: list[str] = []
    create = timm.create_model

    def watched(*args: Any, **kwargs: Any) -> nn.Module:
        seen.append(torch.empty(0).device.type)
        return create(*args, **kwargs)

    monkeypatch.setattr(timm, "create_model", watched)
    plan_body.cache_clear()
    yield seen
    plan_body.cache_clear()


def test_a_size_is_accepted_or_refused_without_allocating_parameters(devices: list[str]) -> None:
    assert check_arch("vit_large_patch16_224", (224, 224)) is None
    assert check_arch("deepseek_vit_412m", (100, 100)) is not None
    assert set(devices) == {"meta"}


def test_a_model_that_computes_with_values_is_planned_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, devices: list[str]
) -> None:
    create = timm.create_model

    def needs_values(*args: Any, **kwargs: Any) -> nn.Module:
        model = create(*args, **kwargs)
        torch.linspace(0, 1, 2)[1].item()
        return model

    monkeypatch.setattr(timm, "create_model", needs_values)
    assert check_arch("test_resnet", (32, 32)) is None
    assert devices == ["meta", "meta", "cpu"]


def test_a_body_without_drop_path_is_built_without() -> None:
    assert plan_body("csatv2", (64, 64), 0.2).options in ({}, {"drop_path_rate": 0.2})
    assert plan_body("vgg11", (32, 32), 0.2).options == {}


def test_a_plan_holds_the_colour_statistics_of_the_pretraining() -> None:
    plan: BodyPlan = plan_body("vit_base_patch16_224.augreg_in21k", (32, 32), 0.0)
    assert (plan.mean, plan.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_planning_keeps_a_models_mode_and_statistics() -> None:
    network = timm.create_model("test_resnet", num_classes=0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    plans._probe(network, (32, 32), {})
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_network_of_one_size_is_refused_a_larger_view() -> None:
    sentence = check_arch("mixer_s32_224", (224, 224), 1.15)
    assert sentence is not None
    assert "leave out large_view" in sentence
    assert check_arch("mixer_s32_224", (224, 224)) is None


def test_every_larger_view_has_a_size_if_a_multiple_of_the_patch_lies_within_the_limit() -> None:
    """Patches have 16 px: 80 px lies within 1.4 times 64 px, and 48 px not within 1.4 times 32 px."""
    for factor in (1.001, 1.1, 1.25, 1.3, 1.4):
        assert plan_body("test_vit", (64, 64), 0.0, factor).large == (80, 80)
        sentence = check_arch("test_vit", (32, 32), factor)
        assert sentence is not None
        assert "none of the larger sizes tried" in sentence


def test_a_network_with_a_view_at_another_factor_says_which() -> None:
    assert check_arch("coatnet_nano_rw_224", (224, 224), 1.25) == (
        "coatnet_nano_rw_224 has no view at 1.25 times 224x224 px; take large_view: 1.036 (232x232 px)"
    )
    assert check_arch("coatnet_nano_rw_224", (224, 224), 1.036) is None


def test_the_layers_of_an_architecture_are_known_before_it_trains() -> None:
    assert check_layers("test_vit", (64, 64)) is None
    assert check_layers("pit_ti_224", (224, 224)) == (
        "pit_ti_224 does not name its layers, which layer_decay needs; set layer_decay: 1"
    )
