"""Plan a body: how a timm model accepts images of a size, and what its features are."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tune_paddy.core.config import LARGEST_VIEW
from tune_paddy.core.errors import InputError
from tune_paddy.training.networks.architectures import resolve_arch
from tune_paddy.training.networks.larger_sizes import larger_sizes
from tune_paddy.training.networks.layers import names_layers, no_layers
from tune_paddy.training.networks.meta_shapes import layers_by_shape

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class BodyPlan:
    """Arguments and output format of a timm model for images of one size.

    Attributes:
        options: Additional arguments of `timm.create_model`.
        has_map: Whether the features are a map [images, channels, h, w] rather than [images, channels].
        channels_last: Whether the model's own maps are [images, h, w, channels].
        n_features: Number of channels of the features.
        n_pooled: Number of features after timm's own pooling, which may have layers of its own; 0: it fails.
        names_layers: Whether timm says which parameters form a layer.
        mean: Mean of each colour channel (values 0..1) in the images of the pretraining.
        std: Standard deviation of each colour channel in these images.
        large: (height, width) in px of the `large` view, or None.
    """

    options: Mapping[str, Any]
    has_map: bool
    channels_last: bool
    n_features: int
    n_pooled: int
    names_layers: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    large: tuple[int, int] | None = None


def check_arch(arch: str, size: tuple[int, int], large_view: float = 1.0) -> str | None:
    """Return why `arch` cannot train at `size` (height, width in px), or None if it can.

    Args:
        arch: timm model name.
        size: (height, width) in px of the input images.
        large_view: Multiple of `size` that it must accept as well; 1: none.
    """
    try:
        plan_body(arch, size, 0.0, large_view)
    except InputError as error:
        return str(error)
    return None


def check_layers(arch: str, size: tuple[int, int]) -> str | None:
    """Return why `arch` cannot train with `layer_decay`, or None if it can.

    Args:
        arch: timm model name.
        size: (height, width) in px of the input images, which `check_arch` accepts.
    """
    return None if plan_body(arch, size, 0.0).names_layers else no_layers(arch)


@cache
def plan_body(arch: str, size: tuple[int, int], drop_path: float, large_view: float = 1.0) -> BodyPlan:
    """Determine how `arch` accepts images of `size`, by a forward pass on the meta device if possible.

    With a `large_view`, the network must accept images of about this multiple of `size`, too. A transformer
    with a fixed input then interpolates its position embeddings, if timm's model has an option for that.

    Args:
        arch: timm model name.
        size: (height, width) in px of the input images.
        drop_path: Stochastic depth rate of the body.
        large_view: Multiple of `size` of the `large` view, from 1; 1: none.

    Raises:
        InputError: Unknown arch, or a size that it does not accept.
    """
    name = resolve_arch(arch)
    if large_view > 1:
        return _plan_large(arch, size, drop_path, large_view)
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
            break  # the size is the problem: the CPU would fail too
    raise InputError(f"{arch} does not accept {size[0]}x{size[1]} px: {_reason(errors)}") from errors[0]


def _plan_large(arch: str, size: tuple[int, int], drop_path: float, large_view: float) -> BodyPlan:
    """Return the plan of a body that accepts a larger size as well, see `plan_body`."""
    plan_body(arch, size, drop_path)  # raises if the size itself is the problem
    found = _first_plan(arch, size, drop_path, larger_sizes(size, large_view))
    if found is not None:
        return found
    given = f"{size[0]}x{size[1]} px"
    ends = [*larger_sizes(size, 1.0), *larger_sizes(size, LARGEST_VIEW)]
    other = _first_plan(arch, size, drop_path, ends)
    if other is None or other.large is None:
        raise InputError(
            f"{arch} accepts {given}, and none of the larger sizes tried, up to {LARGEST_VIEW:g} times that; "
            "leave out large_view"
        )
    height, width = other.large
    raise InputError(
        f"{arch} has no view at {large_view:g} times {given}; "
        f"take large_view: {height / size[0]:.4g} ({height}x{width} px)"
    )


def _first_plan(
    arch: str, size: tuple[int, int], drop_path: float, larger: Iterable[tuple[int, int]]
) -> BodyPlan | None:
    """Return the plan of a body that accepts one of several larger sizes, the first possible; or None."""
    tried = ((option, large) for option in range(len(_LARGER)) for large in larger)
    plans = (_plan_both(arch, size, drop_path, large, option) for option, large in tried)
    return next((plan for plan in plans if plan is not None), None)


@cache
def _plan_both(
    arch: str, size: tuple[int, int], drop_path: float, large: tuple[int, int], option: int
) -> BodyPlan | None:
    """Return the plan of a body that accepts two sizes with one of the options of `_LARGER`, or None."""
    options = {**plan_body(arch, size, drop_path).options, **_LARGER[option]}
    with suppress(*_REFUSALS):
        return replace(_probe_twice(resolve_arch(arch), size, large, options), large=large)
    return None


_LARGER: tuple[dict[str, Any], ...] = ({}, {"dynamic_img_size": True}, {"strict_img_size": False})
"""Options to try for a second size: none, and those of transformers that accept several sizes."""


def _probe_twice(
    name: str, size: tuple[int, int], large: tuple[int, int], options: Mapping[str, Any]
) -> BodyPlan:
    """Return the plan of a body after a forward pass at each of two sizes, on the meta device if possible."""
    for device in ("meta", "cpu"):
        try:
            with torch.device(device):
                with without_initial_weights():
                    model = timm.create_model(name, num_classes=0, **options)
                _probe(model, large, options)
                return _probe(model, size, options)
        except _REFUSALS as error:
            if device == "cpu" or not _NEEDS_VALUES.search(str(error)):
                raise
    raise AssertionError("the CPU either probes or raises")


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


# Errors of timm's constructors and forward passes for sizes or options that a model does not accept.
_REFUSALS = (TypeError, ValueError, RuntimeError, AssertionError, IndexError, ZeroDivisionError)


# Pattern of torch's errors when a model needs the values of tensors on the meta device.
_NEEDS_VALUES = re.compile(r"\bmeta\b", re.IGNORECASE)


def _reason(errors: list[Exception]) -> str:
    """Return the first line of the most specific error: an unknown option says nothing about the size."""
    telling = [error for error in errors if str(error) and "unexpected keyword" not in str(error)]
    error = (telling or errors)[0]
    return (str(error) or type(error).__name__).splitlines()[0][:160]


def _attempts(name: str, size: tuple[int, int], drop_path: float) -> list[dict[str, Any]]:
    """Return the options to try, in order: models with a fixed input size get `img_size` first."""
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
    with _evaluating(model), torch.no_grad(), layers_by_shape():
        features = model.forward_features(torch.zeros(2, 3, *size))
        has_map = isinstance(features, Tensor) and features.ndim == 4  # noqa: PLR2004 n, c, h, w
        n_pooled = _width_of_pooled(model, features, needed=not has_map)
    config = model.pretrained_cfg
    return BodyPlan(
        options=dict(options),
        has_map=has_map,
        channels_last=channels_last,
        n_features=int(features.shape[-1 if channels_last else 1]) if has_map else n_pooled,
        n_pooled=n_pooled,
        names_layers=names_layers(model),
        mean=tuple(config.get("mean") or IMAGENET_MEAN),
        std=tuple(config.get("std") or IMAGENET_STD),
    )


def _width_of_pooled(model: Any, features: Any, *, needed: bool) -> int:
    """Return the number of features after timm's own pooling; 0 if it fails and maps can do without it."""
    try:
        return int(model.forward_head(features, pre_logits=True).flatten(1).shape[1])
    except _REFUSALS:
        if needed:
            raise
        return 0


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Run the block in evaluation mode, so that it updates no batch statistics; restore the mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
