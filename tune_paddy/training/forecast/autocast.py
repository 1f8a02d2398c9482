"""CUDA autocast's casts for tensors on any device: the precision of every operator on a GPU.

`torch.autocast("cuda")` casts only CUDA tensors, and disables itself on a machine without a GPU.
Activations take half the memory in half precision, so a forecast has to know each cast. This mode repeats
the casts for tensors of any device, mainly the meta device. The lists are those of
https://docs.pytorch.org/docs/stable/amp.html#cuda-op-specific-behavior, completed from
`ATen/autocast_mode.h` of torch 2.15, and from the operators that are composed of listed ones.

For the smallest model of each of timm's 98 modules, the bytes saved for the backward pass equal torch's own
exactly in 97. In `efficientvit_mit` they are 4 % fewer: that network disables autocast around its
attention, but not on the meta device.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


LOWER = _names("""
    __matmul__ __rmatmul__ _convolution _scaled_dot_product_flash_attention _thnn_fused_gru_cell
    _thnn_fused_lstm_cell addbmm addmm addmv addr baddbmm bmm chain_matmul conv1d conv2d conv3d
    conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution einsum gru gru_cell
    linalg_multi_dot linalg_vecdot linear lstm lstm_cell matmul mm multi_dot mv prelu rnn_relu rnn_relu_cell
    rnn_tanh rnn_tanh_cell scaled_dot_product_attention
""")
"""Functions that run in half precision: their float32 arguments are cast down, parameters only once."""

FLOAT = _names("""
    __pow__ __rdiv__ __rpow__ __rtruediv__ _upsample_bicubic2d_aa _upsample_bilinear2d_aa
    _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d acos arccos arcsin asin
    binary_cross_entropy_with_logits cdist cosh cosine_embedding_loss cosine_similarity cross_entropy
    cross_entropy_loss dist erfinv exp expm1 frobenius_norm group_norm hinge_embedding_loss huber_loss
    interpolate kl_div l1_loss layer_norm log log10 log1p log2 logsumexp margin_ranking_loss mse_loss
    multi_margin_loss multilabel_margin_loss native_layer_norm nll_loss nll_loss2d nll_loss_nd nuclear_norm
    pdist poisson_nll_loss pow reciprocal renorm rms_norm rsqrt sinh smooth_l1_loss
    soft_margin_loss softplus square tan triplet_margin_loss upsample upsample_bicubic2d upsample_bilinear2d
    upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d
""")
"""Functions that run in float32: their half-precision arguments are cast up."""

FLOAT_RESULT = _names("""
    cumprod cumsum linalg_matrix_norm linalg_norm linalg_vector_norm log_softmax norm prod softmax softmin sum
""")
"""Functions that read half precision as it is and return float32."""

WIDEST = _names("""
    addcdiv addcmul atan2 bilinear cross dot grid_sample grid_sampler index_put scatter_add tensordot vdot
""")
"""Functions that run in the widest precision among their arguments."""


class CudaAutocast(TorchFunctionMode):
    """While active, torch functions cast their arguments as they would under `torch.autocast("cuda")`.

    Each parameter is cast down once and shared, as in autocast's cache. The cache lives as long as the
    mode object.

    Args:
        dtype: Lower precision: `torch.float16` or `torch.bfloat16`.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self._cast_weights: dict[Tensor, Tensor] = {}

    @property
    def cast_weight_bytes(self) -> int:
        """Number of bytes of all parameters cast down so far."""
        return sum(cast.untyped_storage().nbytes() for cast in self._cast_weights.values())

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one torch function with autocast's casts (torch calls this)."""
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in LOWER:
            args, kwargs = tree_map_only(Tensor, self._lower, (args, kwargs))
        elif name in FLOAT:
            args, kwargs = tree_map_only(Tensor, _raise, (args, kwargs))
        elif name in FLOAT_RESULT:
            kwargs = _with_float_result(args, kwargs)
        elif name in WIDEST:
            if _holds_float32(args, kwargs):
                args, kwargs = tree_map_only(Tensor, _raise, (args, kwargs))
        elif name in _BY_PARTS:
            with self:
                return _BY_PARTS[name](*args, **kwargs)
        return func(*args, **kwargs)

    def _lower(self, tensor: Tensor) -> Tensor:
        if tensor.dtype not in _CASTABLE or tensor.dtype == self.dtype:
            return tensor
        if not (tensor.is_leaf and tensor.requires_grad and tensor.dtype == torch.float32):
            return tensor.to(self.dtype)
        if tensor not in self._cast_weights:
            self._cast_weights[tensor] = tensor.to(self.dtype)
        return self._cast_weights[tensor]


_HALVES = (torch.float16, torch.bfloat16)
_CASTABLE = (torch.float32, *_HALVES)
"""Types that are cast; float64 and integers stay as they are, as under autocast."""


def _raise(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in _HALVES else tensor


def _with_float_result(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Request a float32 result, unless the caller requests a type or passes no floating-point tensor."""
    first = args[0] if args else kwargs.get("input")
    asked = kwargs.get("dtype") is not None or any(isinstance(arg, torch.dtype) for arg in args)
    castable = isinstance(first, Tensor) and first.dtype in _CASTABLE
    return {**kwargs, "dtype": torch.float32} if castable and not asked else kwargs


def _holds_float32(*trees: Any) -> bool:
    return any(isinstance(leaf, Tensor) and leaf.dtype == torch.float32 for leaf in tree_leaves(trees))


def _normalize(
    input: Tensor,  # noqa: A002 the name that callers of F.normalize may use
    p: float = 2.0,
    dim: int = 1,
    eps: float = 1e-12,
    out: Tensor | None = None,
) -> Tensor:
    """`F.normalize` written in operators that the mode intercepts; only the norm is computed in float32."""
    norm = torch.linalg.vector_norm(input, p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return torch.div(input, norm, out=out)


_BY_PARTS: dict[str, Callable[..., Tensor]] = {"normalize": _normalize}
"""Replacements of torch's Python functions that hide listed operators from the mode."""
