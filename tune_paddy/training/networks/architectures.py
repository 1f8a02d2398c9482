"""Names of timm's architectures: current names, similar names, and tiny stand-ins for a dry run."""

import difflib
from functools import cache
from typing import Any

import timm
import torch
from timm.models import (
    build_model_with_cfg,
    get_deprecated_models,
    list_modules,
    model_entrypoint,
    register_model,
)
from timm.models.metaformer import Attention, LayerNorm2dNoBias, LayerNormNoBias, MetaFormer, SepConv
from torch import nn

from tune_paddy.core.errors import InputError

_TINY_SWIN = {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8)}


@register_model
def tiny_swin(pretrained: bool = False, **options: Any) -> nn.Module:
    """Build a Swin of 0.7 M parameters: timm's tiny `test_*` models include none of this family."""
    return timm.create_model("swin_tiny_patch4_window7_224", pretrained, **{**_TINY_SWIN, **options})


@register_model
def tiny_swinv2(pretrained: bool = False, **options: Any) -> nn.Module:
    """Build a Swin V2 of 0.7 M parameters: timm's tiny `test_*` models include none of this family."""
    return timm.create_model("swinv2_tiny_window8_256", pretrained, **{**_TINY_SWIN, **options})


@register_model
def tiny_eva(pretrained: bool = False, **options: Any) -> nn.Module:
    """Build a DINOv3 of 0.1 M parameters: timm's smallest of this family has 5 M, found in 7 s."""
    small = {"embed_dim": 64, "depth": 2, "num_heads": 2}
    return timm.create_model("vit_small_patch16_dinov3", pretrained, **{**small, **options})


@register_model
def tiny_metaformer(pretrained: bool = False, **options: Any) -> nn.Module:
    """Build a CAFormer of 0.3 M parameters: timm's smallest of this family has 11 M.

    timm's own functions fix the depths.
    """
    small = {
        "depths": (1, 1, 1, 1),
        "dims": (16, 32, 64, 96),
        "token_mixers": [SepConv, SepConv, Attention, Attention],
        "norm_layers": [LayerNorm2dNoBias] * 2 + [LayerNormNoBias] * 2,
    }
    model: nn.Module = build_model_with_cfg(MetaFormer, "caformer_s18", pretrained, **{**small, **options})
    return model


@register_model
def tiny_tinyvit(pretrained: bool = False, **options: Any) -> nn.Module:
    """Build a TinyViT of 0.2 M parameters: timm's smallest of this family has 12 M."""
    small = {"depths": (1, 1, 1, 1), "embed_dims": (16, 32, 64, 96), "num_heads": (1, 1, 2, 3)}
    return timm.create_model("tiny_vit_5m_224", pretrained, **{**small, **options})


_TINY = {
    "eva": "tiny_eva",
    "metaformer": "tiny_metaformer",
    "swin_transformer": "tiny_swin",
    "swin_transformer_v2": "tiny_swinv2",
    "tiny_vit": "tiny_tinyvit",
}
"""timm module → tiny model of this project."""


def resolve_arch(arch: str) -> str:
    """Return timm's current name for `arch`: map deprecated names, return others unchanged.

    Raises:
        InputError: timm does not know the name or its pretrained tag; the message suggests similar names.
    """
    renamed = _deprecated().get(arch)
    if renamed:
        return renamed
    base, _, tag = arch.partition(".")
    if not timm.is_model(base):
        near = difflib.get_close_matches(base, timm.list_models(), n=3, cutoff=0.5)
        raise InputError(f"timm has no model {arch!r}" + _nearest(near))
    if tag and arch not in _pretrained_names():
        near = sorted(name for name in _pretrained_names() if name.partition(".")[0] == base)
        raise InputError(f"timm has no pretrained weights {tag!r} for {base}" + _nearest(near))
    return arch


def module_of(arch: str) -> str:
    """Return the name of the timm module that defines `arch`, such as `vision_transformer`."""
    entrypoint = model_entrypoint(resolve_arch(arch).partition(".")[0])
    return str(entrypoint.__module__).rpartition(".")[2]


@cache
def stand_in(arch: str) -> str:
    """Return a tiny model from the same timm module as `arch`, to try out a search without a GPU.

    Raises:
        InputError: timm has no model `arch`.
    """
    if arch in _TINY.values():
        return arch
    module = module_of(arch)
    if module in _TINY:
        return _TINY[module]
    names = timm.list_models(module=module)
    tests = [name for name in names if name.startswith("test_")]
    return tests[0] if tests else smallest_model(module)


@cache
def smallest_model(module: str) -> str:
    """Return the name of the model with the fewest parameters in a timm module, without allocating memory."""
    return min(timm.list_models(module=module), key=lambda name: (_parameters(name), name))


def all_modules() -> tuple[str, ...]:
    """Return the timm modules that define models, in alphabetical order."""
    ours = {module_of(name) for name in _TINY.values()}
    return tuple(sorted(module for module in list_modules() if module not in ours))


def _parameters(arch: str) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in timm.create_model(arch).parameters())


def _nearest(names: list[str]) -> str:
    return f"; did you mean {' or '.join(names[:4])}?" if names else "; `timm.list_models()` lists all"


@cache
def _deprecated() -> dict[str, str]:
    return {old: new for old, new in get_deprecated_models().items() if new}


@cache
def _pretrained_names() -> frozenset[str]:
    return frozenset(timm.list_models(pretrained=True))
