"""The layers of a body, from its input to its output, for learning rates that fall towards the input."""

from typing import Any

from timm.models import group_parameters
from torch import nn

from tune_paddy.core.errors import InputError


def names_layers(model: nn.Module) -> bool:
    """Return whether a timm model says which of its parameters form a layer."""
    return hasattr(model, "group_matcher")


def no_layers(arch: str) -> str:
    """Return that an architecture does not say it, and what to do."""
    return f"{arch} does not name its layers, which layer_decay needs; set layer_decay: 1"


def body_layers(body: nn.Module) -> list[list[nn.Parameter]]:
    """Return the parameters of each layer of a body, from its input to its output.

    timm's models say themselves which of their parameters form a layer; the last layer may be a norm alone.

    Args:
        body: Body of a network from `build_model`.

    Raises:
        InputError: The architecture does not say it.
    """
    model: Any = body.model
    if not names_layers(model):
        raise InputError(no_layers(model.pretrained_cfg.get("architecture", type(model).__name__)))
    layer_of = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    layers: list[list[nn.Parameter]] = [[] for _ in range(1 + max(layer_of.values()))]
    for name, parameter in model.named_parameters():
        layers[layer_of[name]].append(parameter)
    return layers
