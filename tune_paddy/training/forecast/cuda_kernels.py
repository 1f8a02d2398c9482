"""Imitate CUDA kernels that save other tensors for the backward pass than the meta device does."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

HEAD_WIDTH_ALIGNMENT = 8
"""Attention kernels need a head width, in elements, that is a multiple of this; others are padded."""
MAX_HEAD_WIDTH = 256
"""Largest head width, in elements, with a fused attention kernel."""
MASK_ALIGNMENT = 8
"""Memory-efficient attention pads the rows of its mask to a multiple of this many elements."""
QUERY_ALIGNMENT = 32
"""Memory-efficient attention saves its log-sum-exp for a multiple of this many queries."""
LSTM_RESERVE = 6
"""Assumed number of values that cuDNN saves per step and hidden unit: four gates, the cell, its tanh."""


class CudaKernels(TorchFunctionMode):
    """While active, functions with a fused CUDA kernel save the same tensors for backward as that kernel.

    On the meta device `scaled_dot_product_attention` falls back to plain matrix products, which save the
    queries x keys matrix; `dropout` saves a mask as wide as its input; `rms_norm` and LSTMs save every
    intermediate result. Only the forward pass works.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one torch function, or the imitation of its CUDA kernel (torch calls this)."""
        replacement = _REPLACEMENTS.get(getattr(func, "__name__", ""), func)
        return replacement(*args, **(kwargs or {}))


class UnfusedAttention(TorchFunctionMode):
    """While active, attention is computed by matrix products and a softmax, as before fused kernels.

    Enter it after `CudaAutocast`: its operators are then cast one by one, as in a model that calls them.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one torch function, or the operators of attention (torch calls this)."""
        if getattr(func, "__name__", "") == "scaled_dot_product_attention":
            return _attention_by_parts(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


Kernel = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]
"""Function of an operator's inputs that allocates its output and the other tensors that it saves."""


class _Fused(torch.autograd.Function):
    """An operator defined only by its output and by the tensors saved for its backward pass."""

    @staticmethod
    def forward(ctx: Any, kernel: Kernel, *inputs: Tensor | None) -> Tensor:
        output, kept = kernel(*inputs)
        ctx.save_for_backward(*inputs, *kept)
        return output


def _run(kernel: Kernel, *inputs: Tensor | None) -> Tensor:
    output: Tensor = _Fused.apply(kernel, *inputs)
    return output


def _attention(  # noqa: PLR0917 torch's signature
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Tensor:
    """`F.scaled_dot_product_attention` as the fused kernel that CUDA would choose.

    Flash attention without a mask, memory-efficient attention with one: Dao et al. 2022,
    https://arxiv.org/abs/2205.14135; Rabe and Staats 2021, https://arxiv.org/abs/2112.05682.
    """
    if not _is_fusable(query, value, attn_mask):
        return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, **options)
    width = query.shape[-1]
    query, key, value = (_pad(tensor, HEAD_WIDTH_ALIGNMENT) for tensor in (query, key, value))
    if attn_mask is None:
        return _run(_flash, query, key, value)[..., :width]
    return _run(_memory_efficient, query, key, value, _pad(_as_bias(attn_mask, query.dtype), MASK_ALIGNMENT))


def _is_fusable(query: Tensor, value: Tensor, attn_mask: Tensor | None) -> bool:
    """Return whether CUDA has a fused kernel; narrow heads are padded for flash attention only."""
    width = query.shape[-1]
    if query.ndim != 4 or width > MAX_HEAD_WIDTH or value.shape[-1] != width:  # noqa: PLR2004 n, heads, …
        return False
    return attn_mask is None or width % HEAD_WIDTH_ALIGNMENT == 0


def _flash(query: Tensor, *_: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    output = torch.empty_like(query)
    return output, (output, query.new_empty(query.shape[:3], dtype=torch.float32))


def _memory_efficient(query: Tensor, *_: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    n, heads, queries, width = query.shape
    output = query.new_empty(n, queries, heads, width).transpose(1, 2)
    kept_queries = math.ceil(queries / QUERY_ALIGNMENT) * QUERY_ALIGNMENT
    return output, (output, query.new_empty(n, heads, kept_queries, dtype=torch.float32))


def _pad(tensor: Tensor, alignment: int) -> Tensor:
    missing = -tensor.shape[-1] % alignment
    return F.pad(tensor, (0, missing)) if missing else tensor


def _as_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, float("-inf"))


def _attention_by_parts(  # noqa: PLR0917 torch's signature
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **_: Any,
) -> Tensor:
    scores = (query * (scale or query.shape[-1] ** -0.5)) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = scores.new_ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        scores = scores + _as_bias(attn_mask, scores.dtype)
    return F.dropout(scores.softmax(dim=-1), dropout_p) @ value


def _dropout(
    input: Tensor,  # noqa: A002 the name that callers of F.dropout may use
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Tensor:
    """`F.dropout` as CUDA's fused kernel, which saves one byte per element."""
    if inplace or not training or not 0 < p < 1:
        return F.dropout(input, p, training, inplace)
    return torch.native_dropout(input, p, training)[0]


def _rms_norm(
    input: Tensor,  # noqa: A002 the name that callers of F.rms_norm may use
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,  # noqa: ARG001
) -> Tensor:
    """`F.rms_norm` as CUDA's fused kernel, which saves its input and one float32 per row."""
    return _run(partial(_rms_kernel, len(normalized_shape)), input, weight)


def _rms_kernel(n_dims: int, rows: Tensor, *_: Tensor | None) -> tuple[Tensor, tuple[Tensor, ...]]:
    return torch.empty_like(rows), (rows.new_empty(rows.shape[:-n_dims], dtype=torch.float32),)


def _lstm(
    input: Tensor,  # noqa: A002 torch's name
    hx: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    *_: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """`torch.lstm` as cuDNN's kernel: each layer saves its input, its output and a reserve."""
    per_layer = len(params) // num_layers
    directions = per_layer // (4 if has_biases else 2)
    kernel = partial(_lstm_kernel, directions * hx[0].shape[-1])
    for layer in range(num_layers):
        input = _run(kernel, input, *params[layer * per_layer : (layer + 1) * per_layer])  # noqa: A001
    return input, hx[0], hx[1]


def _lstm_kernel(width: int, steps: Tensor, *_: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    output = steps.new_empty(*steps.shape[:2], width)
    return output, (output, steps.new_empty(*steps.shape[:2], LSTM_RESERVE * width))


_REPLACEMENTS: dict[str, Callable[..., Any]] = {
    "scaled_dot_product_attention": _attention,
    "dropout": _dropout,
    "rms_norm": _rms_norm,
    "lstm": _lstm,
}
