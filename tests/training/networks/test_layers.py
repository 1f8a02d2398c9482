import pytest
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from tune_paddy.core.errors import InputError
from tune_paddy.training.networks.layers import body_layers
from tune_paddy.training.networks.model import build_model

ARCHS = ["test_resnet", "test_convnext", "test_vit", "test_efficientnet", "test_nfnet"]


def body(arch: str, side: int = 160) -> nn.Module:
    with torch.device("meta"):
        return build_model(arch, 10, size=(side, side))[0]


@pytest.mark.parametrize("arch", ARCHS)
def test_the_layers_have_the_learning_rates_that_timm_gives_them(arch: str) -> None:
    """The groups of timm have a factor each: 1 for the last layer, a half for the one before, and so on."""
    network = body(arch)
    expected = {
        id(parameter): group["lr_scale"]
        for group in param_groups_layer_decay(network.model, layer_decay=0.5)
        for parameter in group["params"]
    }
    layers = body_layers(network)
    factors = {
        id(parameter): 0.5**below for below, layer in enumerate(reversed(layers)) for parameter in layer
    }
    assert factors == expected
    assert len(layers) > 3


def test_an_architecture_that_does_not_name_its_layers_is_refused_in_one_line() -> None:
    with pytest.raises(
        InputError,
        match=r"^pit_ti_224 does not name its layers, which layer_decay needs; set layer_decay: 1$",
    ):
        body_layers(body("pit_ti_224", 224))
