"""The emulated casts, compared with torch's own on fake CUDA tensors without a GPU (forward only)."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from tune_paddy.training.forecast import autocast as emulation
from tune_paddy.training.forecast.autocast import CudaAutocast
from tune_paddy.training.forecast.cuda_kernels import CudaKernels
from tune_paddy.training.networks.model import build_model

Operator = Callable[[Tensor, Tensor], Any]

# Each gets an activation in half precision and a parameter in float32, both [4, 8, 8].
OPERATORS: dict[str, Operator] = {
    # half precision
    "@": lambda h, f: f @ f,
    "mixed @": lambda h, f: h @ f,
    "matmul": torch.matmul,
    "bmm": lambda h, f: f.bmm(h),
    "mm": lambda h, f: h[0].mm(f[0]),
    "mv": lambda h, f: torch.mv(f[0], h[0, 0]),
    "addmm": lambda h, f: torch.addmm(f[0], h[0], f[1]),
    "addmv": lambda h, f: torch.addmv(f[0, 0], h[0], f[0, 1]),
    "addr": lambda h, f: torch.addr(f[0], h[0, 0], f[0, 1]),
    "addbmm": lambda h, f: torch.addbmm(f[0], h, f),
    "baddbmm": lambda h, f: torch.baddbmm(f, h, f),
    "einsum": lambda h, f: torch.einsum("bij,bjk->bik", h, f),
    "linear": lambda h, f: F.linear(f, f[0], f[0, 0]),
    "multi_dot": lambda h, f: torch.linalg.multi_dot([h[0], f[0], f[1]]),
    "vecdot": torch.linalg.vecdot,
    "conv1d": lambda h, f: F.conv1d(f, f[:, :, :3], f[0, 0, :4]),
    "conv2d": lambda h, f: F.conv2d(h[None], f[None, :, :3, :3], padding="same"),
    "conv_transpose2d": lambda h, f: F.conv_transpose2d(h[None], f[:, None]),
    "prelu": lambda h, f: F.prelu(h, f[0, 0]),
    # float32
    "exp": lambda h, f: h.exp(),
    "expm1": lambda h, f: torch.expm1(h),
    "log": lambda h, f: h.log(),
    "log1p": lambda h, f: h.log1p(),
    "log2": lambda h, f: h.log2(),
    "pow": lambda h, f: h.pow(2),
    "**": lambda h, f: h**2,
    "2 **": lambda h, f: 2**h,
    "square": lambda h, f: h.square(),
    "1 /": lambda h, f: 1 / h,
    "reciprocal": lambda h, f: h.reciprocal(),
    "rsqrt": lambda h, f: h.rsqrt(),
    "tan": lambda h, f: h.tan(),
    "acos": lambda h, f: h.arccos(),
    "softplus": lambda h, f: F.softplus(h),
    "logsumexp": lambda h, f: h.logsumexp(-1),
    "layer_norm": lambda h, f: F.layer_norm(h, (8,), f[0, 0], f[0, 1]),
    "group_norm": lambda h, f: F.group_norm(h, 2),
    "rms_norm": lambda h, f: F.rms_norm(h, (8,), f[0, 0]),
    "cosine_similarity": lambda h, f: F.cosine_similarity(h, f, dim=-1),
    "bilinear resize": lambda h, f: F.interpolate(h[None], scale_factor=2, mode="bilinear"),
    "nearest resize": lambda h, f: F.interpolate(h[None], scale_factor=2, mode="nearest"),
    "bicubic resize": lambda h, f: F.interpolate(h[None], size=4, mode="bicubic", antialias=True),
    "mse_loss": lambda h, f: F.mse_loss(h, h),
    "cdist": torch.cdist,
    # float32 results
    "softmax": lambda h, f: h.softmax(-1),
    "F.softmax": lambda h, f: F.softmax(h, dim=-1),
    "softmax, typed": lambda h, f: h.softmax(-1, dtype=torch.float16),
    "log_softmax": lambda h, f: F.log_softmax(h, dim=-1),
    "sum": lambda h, f: h.sum(),
    "sum of a dimension": lambda h, f: h.sum(dim=1, keepdim=True),
    "sum of booleans": lambda h, f: (h > 0).sum(),
    "prod": lambda h, f: h.prod(dim=1),
    "cumsum": lambda h, f: h.cumsum(1),
    "norm": lambda h, f: h.norm(dim=-1),
    "vector_norm": lambda h, f: torch.linalg.vector_norm(h, dim=-1),
    "normalize": lambda h, f: F.normalize(h, dim=-1),
    # the widest type
    "addcmul": lambda h, f: torch.addcmul(h, h, f),
    "addcmul, half": lambda h, f: torch.addcmul(h, h, h),
    "atan2": torch.atan2,
    "cross": lambda h, f: torch.linalg.cross(h[:3], f[:3], dim=0),
    "dot": lambda h, f: torch.dot(h[0, 0], f[0, 0]),
    "grid_sample": lambda h, f: F.grid_sample(h[None], f[None, :, :, :2], align_corners=False),
    "tensordot": lambda h, f: torch.tensordot(h, f, dims=([1, 2], [1, 2])),
    # not cast
    "+": lambda h, f: h + h,
    "mixed *": lambda h, f: h * f,
    "mean": lambda h, f: h.mean(),
    "gelu": lambda h, f: F.gelu(h),
    "silu": lambda h, f: F.silu(h),
    "sigmoid": lambda h, f: h.sigmoid(),
    "relu_": lambda h, f: (h + 1).relu_(),
    "cat": lambda h, f: torch.cat([h, f]),
    "max_pool": lambda h, f: F.max_pool1d(h, 2),
    "avg_pool": lambda h, f: F.adaptive_avg_pool2d(h[None], 1),
    "dropout": lambda h, f: F.dropout(h, 0.5),
    "float64": lambda h, f: f.double() @ f.double(),
}

MODELS = [("test_efficientnet", 96), ("test_vit", 160), ("tiny_swinv2", 256)]


@pytest.fixture(scope="module", autouse=True)
def _fake_cuda() -> None:
    """Skip if this build of torch has no fake CUDA tensors."""
    try:
        with FakeTensorMode():
            torch.empty(2, 2, device="cuda") @ torch.empty(2, 2, device="cuda")
    except (RuntimeError, AssertionError) as error:
        pytest.skip(f"this torch cannot create fake CUDA tensors: {error}")


@contextmanager
def torchs_own(dtype: torch.dtype) -> Iterator[None]:
    """Enable CUDA autocast; `torch.autocast("cuda")` would disable itself without a GPU."""
    torch.set_autocast_dtype("cuda", dtype)
    torch.set_autocast_enabled("cuda", True)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        torch.autocast_decrement_nesting()
        torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", False)


def kept(run: Callable[[], Tensor], known: list[Tensor]) -> tuple[torch.dtype, Counter[Any]]:
    """Return the result's type, and the size and type of each saved storage except those of `known`."""
    skipped = {id(tensor.untyped_storage()): tensor.untyped_storage() for tensor in known}
    storages: dict[int, tuple[Any, torch.dtype]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.nbytes() and id(storage) not in skipped:
            storages[id(storage)] = (storage, tensor.dtype)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()
    return result.dtype, Counter((storage.nbytes(), dtype) for storage, dtype in storages.values())


def run_operator(operator: Operator, device: str, dtype: torch.dtype) -> tuple[torch.dtype, Counter[Any]]:
    half = torch.empty(4, 8, 8, dtype=dtype, device=device, requires_grad=True)
    full = torch.empty(4, 8, 8, device=device, requires_grad=True)
    return kept(lambda: operator(half, full), [half, full])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())
def test_operators_return_and_save_the_same_as_under_torchs_autocast(
    operator: Operator, dtype: torch.dtype
) -> None:
    with CudaKernels(), CudaAutocast(dtype):
        emulated = run_operator(operator, "meta", dtype)
    with FakeTensorMode(), torchs_own(dtype):
        real = run_operator(operator, "cuda", dtype)
    assert emulated == real


def run_model(model: nn.Module, size: int, device: str) -> tuple[torch.dtype, Counter[Any]]:
    images = torch.empty(2, 3, size, size, device=device)
    return kept(lambda: model(images), [*model.parameters(), *model.buffers(), images])


def on_fake_cuda(model: nn.Module) -> nn.Module:
    """Replace the parameters of a model on the meta device by fake CUDA tensors."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            module.register_parameter(name, nn.Parameter(torch.empty_like(parameter, device="cuda")))
        for name, buffer in module.named_buffers(recurse=False):
            module.register_buffer(name, torch.empty_like(buffer, device="cuda"))
    return model


@pytest.mark.parametrize(("arch", "size"), MODELS)
def test_networks_save_byte_for_byte_the_same_as_under_torchs_autocast(
    arch: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention runs unfused here: choosing CUDA's kernel would need the driver."""
    monkeypatch.setattr("timm.layers.config._USE_FUSED_ATTN", 0)
    with torch.device("meta"):
        model = build_model(arch, 10, size=(size, size)).train()
    with CudaKernels(), CudaAutocast(torch.float16):
        emulated = run_model(model, size, "meta")
    with FakeTensorMode(allow_non_fake_inputs=True), torchs_own(torch.float16):
        real = run_model(on_fake_cuda(model), size, "cuda")
    assert emulated == real


def _listed_by_torch(macro: str) -> set[str]:
    header = Path(torch.__file__).parent / "include" / "ATen" / "autocast_mode.h"
    if not header.is_file():
        pytest.skip(f"this torch came without {header.name}")
    found = re.search(rf"#define {macro}\(_\)((?:.*\\\n)*.*)", header.read_text("utf-8"))
    assert found
    return set(re.findall(r"_\((?:ADD_NS\()?(\w+)", found[1]))


@pytest.mark.parametrize(
    ("macro", "ours"),
    [
        ("AT_FORALL_LOWER_PRECISION_FP", emulation.LOWER),
        ("AT_FORALL_FP32", emulation.FLOAT),
        ("AT_FORALL_FP32_SET_OPT_DTYPE", emulation.FLOAT_RESULT),
        ("AT_FORALL_DIFFERENT_REDISPATCH_SIGNATURE", emulation.FLOAT_RESULT),
        ("AT_FORALL_PROMOTE", emulation.WIDEST),
    ],
)
def test_the_lists_contain_every_operator_that_the_installed_torch_casts(
    macro: str, ours: frozenset[str]
) -> None:
    assert not _listed_by_torch(macro) - ours


def test_a_parameter_used_several_times_is_cast_once() -> None:
    weight = nn.Parameter(torch.empty(8, 8, device="meta"))
    x = torch.empty(4, 8, device="meta")
    autocast = CudaAutocast(torch.float16)
    with autocast:
        F.linear(F.linear(x, weight), weight)
    assert autocast.cast_weight_bytes == 8 * 8 * 2


def test_results_equal_those_of_explicit_casts() -> None:
    """On tensors with values: the casts change types, not operators."""
    x, weight = torch.randn(4, 8), nn.Parameter(torch.randn(8, 8))
    with CudaAutocast(torch.bfloat16):
        result = F.linear(x, weight).softmax(-1)
    by_hand = torch.softmax(F.linear(x.bfloat16(), weight.bfloat16()), -1, dtype=torch.float32)
    torch.testing.assert_close(result, by_hand)
