"""Build a member's network: a timm body with fastai's concat-pool head."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from tune_paddy.core.errors import InputError
from tune_paddy.training.networks.architectures import current_name
from tune_paddy.training.networks.hub import failing_fast
from tune_paddy.training.networks.pretrained import check_loaded, misfit, missing_weights, pretrained_file

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class BodyPlan:
    """How a timm model is built for images of one size, and what comes out of it.

    Attributes:
        options: Further arguments for `timm.create_model`.
        has_map: Whether the features are a map [images, channels, h, w], or [images, channels].
        channels_last: Whether the model's own maps are [images, h, w, channels].
        n_features: Channels.
        mean: Of each colour channel (values 0..1) in the images that the weights were trained on.
        std: Likewise the standard deviation.
    """

    options: Mapping[str, Any]
    has_map: bool
    channels_last: bool
    n_features: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Body(nn.Module):
    """A timm model without its classifier that returns [images, channels, h, w] or [images, channels].

    Whether its maps end with the channels is read from the model's own `output_fmt`; sizes are never
    compared, since a map may well be as wide as it is deep.
    """

    def __init__(self, model: Any, plan: BodyPlan) -> None:
        super().__init__()
        self.model: Any = model
        self.has_map = plan.has_map
        self.channels_last = plan.channels_last

    @property
    def convolutional(self) -> bool:
        """Whether it works on maps [images, channels, h, w], as convolutions do."""
        return self.has_map and not self.channels_last

    def forward(self, images: Tensor) -> Tensor:
        """Map images [n, 3, height, width] to features [n, channels, h, w] or [n, channels]."""
        features: Tensor = self.model.forward_features(images)
        if not self.has_map:
            pooled: Tensor = self.model.forward_head(features, pre_logits=True)
            return pooled.flatten(1)
        return features.permute(0, 3, 1, 2) if self.channels_last else features


def build_model(
    arch: str,
    n_classes: int,
    *,
    size: tuple[int, int],
    pretrained: bool | str = False,
    drop_path: float = 0.0,
    dropout: float = 0.5,
    weights_dir: Path | None = None,
) -> nn.Sequential:
    """Build `Sequential(body, head)`: the two parts train at different speeds.

    Args:
        arch: timm model name; deprecated names are accepted.
        n_classes: Width of the last layer.
        size: (height, width) in px of the images that it will see.
        pretrained: True for timm's weights, False for random ones, or a folder or file of weights.
        drop_path: Stochastic depth rate of the body; ignored by models that have none.
        dropout: Dropout before the last layer; the one before it drops half as much, as in fastai.
        weights_dir: Folder written by `tune-paddy weights fetch`, looked at before timm's own cache.

    Raises:
        InputError: Unknown arch, a size that it cannot take, or weights that are not at hand.
    """
    # They take most of a second to import, which checking a search space need not wait for.
    from fastai.layers import apply_init  # noqa: PLC0415
    from fastai.vision.learner import create_head  # noqa: PLC0415

    plan = plan_body(arch, size, drop_path)
    model = _create(current_name(arch), plan, pretrained, weights_dir)
    head = create_head(plan.n_features, n_classes, ps=dropout, pool=plan.has_map)
    apply_init(head, nn.init.kaiming_normal_)
    return nn.Sequential(Body(model, plan), head)


def lay_out(model: nn.Sequential, device: str) -> nn.Sequential:
    """Lay the weights of a convolutional body out with the channels last, which convolutions run faster on.

    Values, names and shapes stay. On a CPU, steps took 0.55 to 1.03 of the time over nine architectures;
    transformers, whose maps end with the channels anyway, gain nothing.

    Args:
        model: Of `build_model`.
        device: Where it will run; on `mps` nothing is changed.
    """
    if model[0].convolutional and device != "mps":
        model.to(memory_format=torch.channels_last)
    return model


def has_batch_norm(model: nn.Module) -> bool:
    """Whether a network norms a batch by the statistics of that batch."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def check_arch(arch: str, size: tuple[int, int]) -> str | None:
    """Say why `arch` cannot train at `size` (height, width in px), or None, mostly without weights."""
    try:
        plan_body(arch, size, 0.0)
    except InputError as error:
        return str(error)
    return None


@cache
def plan_body(arch: str, size: tuple[int, int], drop_path: float) -> BodyPlan:
    """Find out, by a forward pass that allocates nothing, how `arch` takes images of `size`.

    Raises:
        InputError: Unknown arch, or a size that it cannot take.
    """
    name = current_name(arch)
    errors: list[Exception] = []
    for device in ("meta", "cpu"):
        for options in _attempts(name, size, drop_path):
            try:
                with torch.device(device):
                    with without_initial_weights():
                        model = timm.create_model(name, num_classes=0, **options)
                    return _probe(model, size, options)
            except _REFUSALS as error:
                errors.append(error)
        if not any(_NEEDS_VALUES.search(str(error)) for error in errors):
            break  # it is the size: real memory would not help
    raise InputError(f"{arch} cannot take images of {size[0]}x{size[1]} px: {_reason(errors)}") from errors[0]


_INITIALISING = frozenset((
    "uniform_", "normal_", "erfinv_", "mul_", "add_", "clamp_",
    "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_",
))  # fmt: skip


class without_initial_weights(TorchFunctionMode):  # noqa: N801 a context manager, as `torch.no_grad`
    """While a network is built on the meta device, skip what would initialise the values it does not have.

    That is a third to a half of the time of building one: each such step runs through torch's Python
    implementation. Elsewhere than on the meta device nothing is skipped.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return the tensor as it is instead of changing it in place."""
        given = kwargs or {}
        if getattr(func, "__name__", "") in _INITIALISING:
            tensor = args[0] if args else given.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **given)


# What timm's constructors and forward passes raise on sizes or options that a model does not take.
_REFUSALS = (TypeError, ValueError, RuntimeError, AssertionError, IndexError, ZeroDivisionError)

# How torch names the meta device when a model computes with the values of tensors that have none.
_NEEDS_VALUES = re.compile(r"\bmeta\b", re.IGNORECASE)


def _reason(errors: list[Exception]) -> str:
    """First line of the most telling error: that a model has no such option says nothing of the size."""
    telling = [error for error in errors if str(error) and "unexpected keyword" not in str(error)]
    error = (telling or errors)[0]
    return (str(error) or type(error).__name__).splitlines()[0][:160]


def _attempts(name: str, size: tuple[int, int], drop_path: float) -> list[dict[str, Any]]:
    """Options in order of preference: models of a fixed size first get `img_size`, others do not."""
    config = get_pretrained_cfg(name)
    fixed = bool(config and config.fixed_input_size)
    sizes: list[dict[str, Any]] = [{"img_size": size}, {}] if fixed else [{}, {"img_size": size}]
    if drop_path == 0:
        return sizes
    return [{**options, "drop_path_rate": drop_path} for options in sizes] + sizes


def _probe(model: Any, size: tuple[int, int], options: Mapping[str, Any]) -> BodyPlan:
    if not hasattr(model, "forward_features") or not hasattr(model, "forward_head"):
        raise InputError(f"{type(model).__name__} lacks timm's forward_features or forward_head")
    channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
    with _evaluating(model), torch.no_grad():
        features = model.forward_features(torch.zeros(2, 3, *size))
        has_map = isinstance(features, Tensor) and features.ndim == 4  # noqa: PLR2004 n, c, h, w
        if has_map:
            n_features = features.shape[-1 if channels_last else 1]
        else:
            n_features = model.forward_head(features, pre_logits=True).flatten(1).shape[1]
    config = model.pretrained_cfg
    return BodyPlan(
        options=dict(options),
        has_map=has_map,
        channels_last=channels_last,
        n_features=int(n_features),
        mean=tuple(config.get("mean") or IMAGENET_MEAN),
        std=tuple(config.get("std") or IMAGENET_STD),
    )


def _create(name: str, plan: BodyPlan, pretrained: bool | str, weights_dir: Path | None) -> nn.Module:
    if pretrained is False:
        return timm.create_model(name, num_classes=0, **plan.options)
    path = pretrained_file(name, pretrained, weights_dir)
    # custom_load says how the architecture's own download is read; a local file is always safetensors.
    overlay = None if path is None else {"file": str(path), "custom_load": False}
    try:
        with failing_fast() if path is None else nullcontext():
            model: nn.Module = timm.create_model(
                name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay, **plan.options
            )
    except Exception as error:  # hub clients raise a zoo of types
        raise missing_weights(name, error) if path is None else misfit(name, path, error) from error
    if path is not None:
        check_loaded(model, name, path)
    return model


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Leave no trace of a trial pass: no batch statistics, no dropout, no change of mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
