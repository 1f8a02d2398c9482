"""Shapes of common layers' outputs, for forward passes of networks on the meta device."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class layers_by_shape(TorchFunctionMode):  # noqa: N801 a context manager, as `torch.no_grad`
    """While a network runs on the meta device, let its common layers return tensors of the right shapes.

    torch has only Python implementations of normalisations, linear layers, activations, attention and sums
    there, which take most of the time of a forward pass. What a layer may not accept is left to torch, which
    raises.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return a tensor without values in place of a layer's output."""
        shape_of = _SHAPES.get(func)
        given = kwargs or {}
        if shape_of and args and isinstance(args[0], Tensor) and args[0].is_meta and "out" not in given:
            shape = shape_of(*args, **given)
            if shape == args[0].shape:
                return _like(args[0])
            if shape is not None:
                return args[0].new_empty(shape)
        return func(*args, **given)


def _like(values: Tensor) -> Tensor:
    """Return a tensor with the strides of `values`, on which later views depend."""
    if values.is_contiguous():
        return values.new_empty(values.shape)  # `empty_like` is a Python implementation, too
    return torch.empty_like(values)


def _normalised(values: Tensor, shape: Any = (), *_: Any, **__: Any) -> torch.Size | None:
    wanted = tuple(shape)
    return values.shape if wanted and values.shape[-len(wanted) :] == wanted else None


def _batch_normalised(values: Tensor, mean: Tensor | None = None, *_: Any, **__: Any) -> torch.Size | None:
    return values.shape if mean is not None and values.shape[1:2] == mean.shape else None


def _projected(values: Tensor, weight: Tensor, *_: Any, **__: Any) -> torch.Size | None:
    n_outputs, *inputs = weight.shape
    return torch.Size((*values.shape[:-1], n_outputs)) if [*values.shape[-1:]] == inputs else None


def _combined(values: Tensor, other: Any = None, *_: Any, **__: Any) -> torch.Size | None:
    if not values.is_floating_point() or 0 in values.stride():
        return None
    if isinstance(other, Tensor):
        alike = other.dtype == values.dtype and _spreads(other.shape, values.shape)
    else:
        alike = isinstance(other, int | float)
    return values.shape if alike else None


def _activated(values: Tensor, *_: Any, **__: Any) -> torch.Size | None:
    return values.shape if values.is_floating_point() else None


def _attended(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *more: Any, **options: Any
) -> torch.Size | None:
    """Strides will be the query's, as on a CPU; on the meta device torch has others where it is permuted."""
    if min(query.ndim, key.ndim, value.ndim) < 2 or not query.is_floating_point():  # noqa: PLR2004
        return None
    if attn_mask is not None and (
        more or options.get("is_causal") or attn_mask.dtype not in (torch.bool, query.dtype)
    ):
        return None
    *outer, _n_queries, width = query.shape
    *keys, n_keys, key_width = key.shape
    *values, n_values, value_width = value.shape
    alike = outer == keys == values and width == key_width and n_keys == n_values
    masked = attn_mask is None or _spreads(attn_mask.shape, (*query.shape[:-1], n_keys))
    same_type = query.dtype == key.dtype == value.dtype
    return torch.Size((*query.shape[:-1], value_width)) if alike and masked and same_type else None


def _spreads(shape: Sequence[int], larger: Sequence[int]) -> bool:
    """Return whether a tensor of `shape` broadcasts to exactly the shape `larger`."""
    pairs = zip(reversed(shape), reversed(larger), strict=False)
    return len(shape) <= len(larger) and all(n in {1, wanted} for n, wanted in pairs)


_ACTIVATIONS = (F.relu, F.relu6, F.silu, F.gelu, F.hardswish, F.hardsigmoid)
_OPERATORS = tuple(
    getattr(owner, name)
    for owner, names in (
        (torch, ("add", "sub", "mul", "div", "pow")),
        (Tensor, ("add", "sub", "mul", "div", "pow")),
        (Tensor, ("__add__", "__sub__", "__mul__", "__truediv__", "__pow__")),
    )
    for name in names
)

_SHAPES: dict[Any, Callable[..., torch.Size | None]] = {
    F.layer_norm: _normalised,
    F.batch_norm: _batch_normalised,
    F.linear: _projected,
    F.scaled_dot_product_attention: _attended,
    **dict.fromkeys(_OPERATORS, _combined),
    **dict.fromkeys(_ACTIVATIONS, _activated),
}
"""Layer → function that returns the shape of its output, or None if torch must decide."""
