import json
from pathlib import Path

import pytest
import timm
import torch

from tune_paddy.core.errors import InputError
from tune_paddy.training.networks.architectures import (
    all_modules,
    module_of,
    resolve_arch,
    smallest_model,
    stand_in,
)

SMALLEST: dict[str, str] = json.loads(Path(__file__).with_name("smallest_models.json").read_text())

NOTEBOOK = [
    ("convnext_large_in22k", "test_convnext", "ConvNeXt"),
    ("vit_large_patch16_224", "test_vit", "VisionTransformer"),
    ("swin_large_patch4_window7_224", "tiny_swin", "SwinTransformer"),
    ("swinv2_large_window12_192_22k", "tiny_swinv2", "SwinTransformerV2"),
]


@pytest.mark.parametrize(
    ("deprecated", "current"),
    [
        ("convnext_large_in22k", "convnext_large.fb_in22k"),
        ("swinv2_large_window12_192_22k", "swinv2_large_window12_192.ms_in22k"),
        ("vit_large_patch16_224", "vit_large_patch16_224"),
        ("convnext_large.fb_in22k", "convnext_large.fb_in22k"),
    ],
)
def test_deprecated_names_are_mapped_to_current_ones(deprecated: str, current: str) -> None:
    assert resolve_arch(deprecated) == current


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("convnext_smal", r"timm has no model 'convnext_smal'; did you mean .*convnext_small"),
        ("Resnet18", r"timm has no model 'Resnet18'; did you mean .*resnet18"),
        ("", r"timm has no model ''; `timm.list_models\(\)` lists all"),
        ("../../etc/passwd", r"timm has no model"),
        (
            "convnext_small.fb_in21k",
            r"no pretrained weights 'fb_in21k' for convnext_small; did you mean .*fb_in22k",
        ),
        (
            "test_resnet.nonsense",
            r"no pretrained weights 'nonsense' for test_resnet; did you mean test_resnet\.r160_in1k",
        ),
        ("tiny_swin.in1k", r"no pretrained weights 'in1k' for tiny_swin; `timm.list_models\(\)` lists all"),
    ],
)
def test_unknown_names_and_tags_are_refused_with_similar_ones(arch: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_arch(arch)


@pytest.mark.parametrize(
    ("arch", "module"),
    [
        ("vit_large_patch16_224", "vision_transformer"),
        ("convnext_large_in22k", "convnext"),
        ("test_resnet.r160_in1k", "resnet"),
    ],
)
def test_an_architectures_module_is_the_file_of_timm_that_defines_it(arch: str, module: str) -> None:
    assert module_of(arch) == module


def test_every_listed_model_belongs_to_its_module() -> None:
    """The committed list of smallest models covers timm's modules and excludes this project's."""
    assert {module_of(arch) for arch in SMALLEST.values()} == set(SMALLEST)
    assert set(all_modules()) >= {"vision_transformer", "swin_transformer", "convnext"}
    assert "architectures" not in all_modules()


@pytest.mark.parametrize("module", ["visformer", "pit"])
def test_the_smallest_model_has_the_fewest_parameters(module: str) -> None:
    counts = {name: parameters(name) for name in timm.list_models(module=module)}
    assert counts[smallest_model(module)] == min(counts.values())


@pytest.mark.parametrize(("arch", "tiny", "kind"), NOTEBOOK)
def test_the_notebooks_members_have_tiny_stand_ins_of_their_own_kind(arch: str, tiny: str, kind: str) -> None:
    assert stand_in(arch) == tiny
    assert type(timm.create_model(tiny)).__name__ == kind
    assert parameters(tiny) < 1e6


@pytest.mark.parametrize("tiny", ["tiny_swin", "tiny_swinv2", "test_vit"])
def test_a_stand_in_is_its_own_stand_in(tiny: str) -> None:
    assert stand_in(tiny) == tiny


def test_the_stand_in_of_a_module_without_tiny_models_is_its_smallest() -> None:
    assert stand_in("pit_b_224") == "pit_ti_224"


def test_there_is_no_stand_in_for_an_unknown_model() -> None:
    with pytest.raises(InputError, match="timm has no model"):
        stand_in("no_such_model")


def parameters(arch: str) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in timm.create_model(arch).parameters())
