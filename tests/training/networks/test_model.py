import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from tune_paddy.core.errors import InputError
from tune_paddy.training.networks import plan as plans
from tune_paddy.training.networks.architectures import all_modules, module_of, smallest_model
from tune_paddy.training.networks.model import Body, build_model
from tune_paddy.training.networks.plan import check_arch, plan_body

SMALLEST: dict[str, str] = json.loads(Path(__file__).with_name("smallest_models.json").read_text())

SIDES = (32, 28, 64, 96, 224, 256)
"""Sides in px to try, the cheapest first; 28 is for patches of 14."""

LARGER = {"csatv2": 64, "deepseek_vit": 28, "efficientformer": 224}
LARGER |= dict.fromkeys(("inception_resnet_v2", "inception_v3", "inception_v4"), 96)
"""The smallest side that these modules are known to accept, which saves attempts."""

CHEAPER = {"byoanet": "eca_botnext26ts_256"}
"""Replacement of a smallest model that accepts only images of 256 px and takes 3 s and 700 MiB."""

CHANNELS_LAST = ["tiny_swin", "tiny_swinv2", "test_mambaout", "sam2_hiera_tiny"]
N_CLASSES = 5


ALIKE = ("beit", "deepseek_vit", "gemma4_vit", "naflexvit", "qwen3_vit", "vision_transformer_sam")
SMALLER: dict[str, dict[str, Any]] = {module: {"depth": 2} for module in ALIKE}
SMALLER["vgg"] = {"mlp_ratio": 0.1}
SMALLER |= {module: {"depth": 2} for module in ("cait", "eva", "tnt", "xcit")}
SMALLER |= {module: {"layers": (2, 2, 2, 2)} for module in ("res2net", "sequencer", "tresnet")}
SMALLER |= {key: {"depths": (2, 2, 2, 2)} for key in ("swin_transformer", "swin_transformer_v2", "twins")}
SMALLER["coat"] = {"serial_depths": (1, 1, 1, 1), "parallel_depth": 1}
SMALLER["crossvit"] = {"depth": ((1, 1, 0),) * 3}
SMALLER["davit"] = {"depths": (1, 1, 1, 1)}
SMALLER["densenet"] = {"block_config": (2, 2, 2, 2)}
SMALLER["visformer"] = {"depth": (2, 2, 2)}
"""Options for modules whose smallest model is large or slow to build, in identical parts."""


@pytest.fixture(scope="module")
def light() -> Iterator[None]:
    """Networks that cost little to build; what their initial weights are does not matter."""
    create, uniform, normal = timm.create_model, torch.Tensor.uniform_, torch.Tensor.normal_
    erfinv = torch.Tensor.erfinv_
    generator = torch.Generator().manual_seed(0)
    rand, randn = (draw(2**16, generator=generator) for draw in (torch.rand, torch.randn))

    def smaller(name: str, *args: Any, **options: Any) -> nn.Module:
        return create(name, *args, **(SMALLER.get(module_of(name), {}) | options))

    def is_large(tensor: Tensor) -> bool:
        return tensor.numel() > rand.numel() and not tensor.is_meta and tensor.is_contiguous()

    def repeat(tensor: Tensor, block: Tensor, start: float, scale: float) -> Tensor:
        """Fill a large tensor with the same numbers again and again, in a tenth of the time."""
        numbers = block * scale + start
        with torch.no_grad():
            for part in tensor.view(-1).split(block.numel()):
                part.copy_(numbers[: part.numel()])
        return tensor

    def fill_uniform(tensor: Tensor, low: float = 0, high: float = 1, **options: Any) -> Tensor:
        if not is_large(tensor):
            return uniform(tensor, low, high, **options)
        return repeat(tensor, rand, low, high - low)

    def fill_normal(tensor: Tensor, mean: float = 0, std: float = 1, **options: Any) -> Tensor:
        return repeat(tensor, randn, mean, std) if is_large(tensor) else normal(tensor, mean, std, **options)

    def invert(tensor: Tensor) -> Tensor:
        """Leave a large tensor uniform instead of normal; what follows clamps both."""
        return tensor if is_large(tensor) else erfinv(tensor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", smaller)
        patch.setattr(torch.Tensor, "erfinv_", invert)
        patch.setattr(torch.Tensor, "uniform_", fill_uniform)
        patch.setattr(torch.Tensor, "normal_", fill_normal)
        plan_body.cache_clear()
        yield
    plan_body.cache_clear()


def test_timm_has_the_tested_modules() -> None:
    assert len(all_modules()) >= 98


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("module", all_modules())
def test_every_timm_module_builds_predicts_and_trains(module: str) -> None:
    """Its smallest model, at the smallest side that it accepts; evaluation comes between steps."""
    arch = CHEAPER.get(module) or SMALLEST.get(module) or smallest_model(module)
    sides = (LARGER.get(module, SIDES[0]), *SIDES)
    side = next(side for side in sides if check_arch(arch, (side, side)) is None)
    model = build_model(arch, N_CLASSES, size=(side, side))
    model.eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 3, side, side)).shape == (1, N_CLASSES)
    model.train()
    logits = model(torch.rand(2, 3, side, side))
    assert logits.shape == (2, N_CLASSES)
    first = next(parameter for parameter in model.parameters() if parameter.requires_grad)
    # The first parameter's gradient comes last, through the whole network; all would double the memory.
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, torch.tensor([1, 2])), first)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("arch", CHANNELS_LAST)
def test_channels_last_features_are_turned(arch: str) -> None:
    size = (64, 64)
    body = build_model(arch, N_CLASSES, size=size)[0].eval()
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        own = body.model.forward_features(images)
        assert torch.equal(body(images), own.permute(0, 3, 1, 2))
    assert body(images).shape[1] == body.model.num_features == own.shape[-1]


class Cube(nn.Module):
    """A model whose features have equal width, height and depth, with distinct values."""

    def __init__(self, output_fmt: str) -> None:
        super().__init__()
        self.output_fmt = output_fmt
        self.pretrained_cfg: dict[str, Any] = {}

    def forward_features(self, images: Tensor) -> Tensor:
        cube = torch.arange(4.0 * 4 * 4).view(1, 4, 4, 4)
        return cube.expand(len(images), -1, -1, -1)

    forward_head = None  # timm models have it, but this project's head pools maps


@pytest.mark.parametrize("output_fmt", ["NCHW", "NHWC"])
def test_a_map_as_wide_as_deep_is_read_by_its_format(output_fmt: str) -> None:
    plan = plans._probe(Cube(output_fmt), (32, 32), {})
    assert (plan.has_map, plan.n_features) == (True, 4)
    own = Cube(output_fmt).forward_features(torch.zeros(2, 3, 32, 32))
    expected = own.permute(0, 3, 1, 2) if output_fmt == "NHWC" else own
    assert torch.equal(Body(Cube(output_fmt), plan)(torch.zeros(2, 3, 32, 32)), expected)


@pytest.mark.parametrize("arch", ["test_vit", "test_resnet", "test_convnext", "tiny_swin", "tiny_swinv2"])
@pytest.mark.parametrize("size", [(64, 96), (96, 32)], ids=str)
def test_images_need_not_be_square(arch: str, size: tuple[int, int]) -> None:
    model = build_model(arch, N_CLASSES, size=size)
    assert model(torch.rand(2, 3, *size)).shape == (2, N_CLASSES)


def test_drop_path_reaches_the_body() -> None:
    model = build_model("test_vit", N_CLASSES, size=(32, 32), drop_path=0.2)
    rates = [module.drop_prob for module in model.modules() if isinstance(module, DropPath)]
    assert max(rates) == pytest.approx(0.2)


@pytest.mark.parametrize("arch", ["test_resnet", "test_vit"])
def test_the_head_is_fastais(arch: str) -> None:
    """Two batch norms, a hidden layer of 512, and half the dropout before it; maps are pooled twice."""
    head = build_model(arch, N_CLASSES, size=(32, 32), dropout=0.3)[1]
    plan = plan_body(arch, (32, 32), 0.0)
    linears = [module for module in head.modules() if isinstance(module, nn.Linear)]
    dropouts = [module.p for module in head.modules() if isinstance(module, nn.Dropout)]
    width = plan.n_features * (2 if plan.has_map else 1)
    shapes = [(linear.in_features, linear.out_features) for linear in linears]
    assert shapes == [(width, 512), (512, N_CLASSES)]
    assert dropouts == [0.15, 0.3]
    assert sum(isinstance(module, nn.BatchNorm1d) for module in head.modules()) == 2


def test_an_unknown_architecture_is_not_built() -> None:
    with pytest.raises(InputError, match="timm has no model"):
        build_model("no_such_model", N_CLASSES, size=(32, 32))


@pytest.mark.parametrize("arch", ["test_resnet.r160_in1k", "test_vit.r160_in1k"])
def test_a_body_that_accepts_a_larger_view_is_the_same_at_its_own_size(arch: str) -> None:
    images = torch.rand(2, 3, 64, 64)
    torch.manual_seed(0)
    usual = build_model(arch, 3, size=(64, 64)).eval()
    large = build_model(arch, 3, size=(64, 64), large_view=1.25).eval()
    large.load_state_dict(usual.state_dict())
    size = plan_body(arch, (64, 64), 0.0, 1.25).large
    assert size is not None
    with torch.inference_mode():
        assert torch.allclose(usual(images), large(images), atol=1e-6)
        assert large(torch.rand(2, 3, *size)).shape == (2, 3)
