"""Shapes of common layers' outputs, for forward passes of networks on the meta device."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class layers_by_shape(TorchFunctionMode):  # noqa: N801 a context manager, as `torch.no_grad`
    """While a network runs on the meta device, let its common layers return tensors of the right shapes.

    torch has only Python implementations of normalisations, linear layers, activations and sums there, which
    take most of the time of a forward pass. What a layer may not accept is left to torch, which raises.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return a tensor without values in place of a layer's output."""
        shape_of = _SHAPES.get(func)
        if shape_of and args and isinstance(args[0], Tensor) and args[0].is_meta:
            shape = shape_of(*args)
            if shape == args[0].shape:
                return torch.empty_like(args[0])  # keeps the strides, on which later views depend
            if shape is not None:
                return args[0].new_empty(shape)
        return func(*args, **(kwargs or {}))


def _normalised(values: Tensor, shape: Any = (), *_: Any) -> torch.Size | None:
    wanted = tuple(shape)
    return values.shape if wanted and values.shape[-len(wanted) :] == wanted else None


def _batch_normalised(values: Tensor, mean: Tensor | None = None, *_: Any) -> torch.Size | None:
    return values.shape if mean is not None and values.shape[1:2] == mean.shape else None


def _projected(values: Tensor, weight: Tensor | None = None, *_: Any) -> torch.Size | None:
    if weight is None:  # given by its keyword
        return None
    n_outputs, *inputs = weight.shape
    return torch.Size((*values.shape[:-1], n_outputs)) if [*values.shape[-1:]] == inputs else None


def _combined(values: Tensor, other: Any = None, *_: Any) -> torch.Size | None:
    alike = isinstance(other, Tensor) and other.shape == values.shape and other.dtype == values.dtype
    return values.shape if alike else None


def _activated(values: Tensor, *_: Any) -> torch.Size | None:
    return values.shape if values.is_floating_point() else None


_ACTIVATIONS = (F.relu, F.relu6, F.silu, F.gelu, F.hardswish, F.hardsigmoid)
_OPERATORS = (torch.add, torch.mul, Tensor.add, Tensor.mul, Tensor.__add__, Tensor.__mul__)

_SHAPES: dict[Any, Callable[..., torch.Size | None]] = {
    F.layer_norm: _normalised,
    F.batch_norm: _batch_normalised,
    F.linear: _projected,
    **dict.fromkeys(_OPERATORS, _combined),
    **dict.fromkeys(_ACTIVATIONS, _activated),
}
"""Layer → function that returns the shape of its output, or None if torch must decide."""
