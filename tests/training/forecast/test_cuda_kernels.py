from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tune_paddy.training.forecast.activations import SavedBytes
from tune_paddy.training.forecast.cuda_kernels import LSTM_RESERVE, CudaKernels, UnfusedAttention

new = partial(torch.empty, dtype=torch.float16, device="meta", requires_grad=True)


def kept_bytes(run: Callable[[], Any], *modes: TorchFunctionMode) -> int:
    saved = SavedBytes([])
    with saved.collecting():
        for mode in modes:
            mode.__enter__()
        run()
        for mode in reversed(modes):
            mode.__exit__(None, None, None)
    return saved.total


def qkv(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    return new(*shape), new(*shape), new(*shape)


def test_attention_saves_as_much_as_torchs_flash_attention() -> None:
    inputs = qkv(2, 4, 100, 64)
    own = kept_bytes(lambda: torch.ops.aten._scaled_dot_product_flash_attention(*inputs))
    ours = kept_bytes(lambda: F.scaled_dot_product_attention(*inputs), CudaKernels())
    assert abs(own - ours) <= 32  # the state of its random number generator, even without dropout
    assert ours == 2 * 4 * 100 * (4 * 64 * 2 + 4)


def test_masked_attention_saves_as_much_as_torchs_memory_efficient_attention() -> None:
    inputs, mask = qkv(2, 4, 100, 64), new(2, 4, 100, 104)[..., :100]
    attention = torch.ops.aten._scaled_dot_product_efficient_attention
    own = kept_bytes(lambda: attention(*inputs, mask, True))
    ours = kept_bytes(lambda: F.scaled_dot_product_attention(*inputs, mask), CudaKernels())
    mask_copy = 2 * 4 * 100 * 104 * 2  # torch pads before it chooses the kernel
    assert ours - mask_copy <= own <= ours + 32


def test_a_boolean_mask_is_saved_as_floats() -> None:
    inputs, mask = qkv(2, 4, 32, 64), torch.ones(32, 32, dtype=torch.bool, device="meta")
    with_mask = kept_bytes(lambda: F.scaled_dot_product_attention(*inputs, mask), CudaKernels())
    without = kept_bytes(lambda: F.scaled_dot_product_attention(*inputs), CudaKernels())
    assert with_mask - without == 32 * 32 * 2


def test_narrow_heads_are_padded_and_cropped_again() -> None:
    inputs = qkv(2, 4, 10, 20)
    with CudaKernels():
        assert F.scaled_dot_product_attention(*inputs).shape == (2, 4, 10, 20)
    ours = kept_bytes(lambda: F.scaled_dot_product_attention(*inputs), CudaKernels())
    assert ours == 2 * 4 * 10 * (4 * 24 * 2 + 4)


def test_attentions_output_has_cudas_memory_layout() -> None:
    """Heads after tokens, as from a fused projection: joining the heads needs no copy."""
    query, key, value = new(2, 10, 3, 4, 64).permute(2, 0, 3, 1, 4).unbind(0)
    with CudaKernels():
        output = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
    assert output.reshape(2, 10, 256).untyped_storage() is output.untyped_storage()


@pytest.mark.parametrize("shape", [(2, 4, 100, 512), (2, 3, 4, 100, 64)], ids=["wide heads", "five axes"])
def test_attention_without_a_fused_kernel_saves_its_matrix(shape: tuple[int, ...]) -> None:
    inputs = qkv(*shape)
    matrix = 2 * 100 * inputs[0].numel() // shape[-1]
    assert kept_bytes(lambda: F.scaled_dot_product_attention(*inputs), CudaKernels()) >= 2 * matrix


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"scale": 0.5}], ids=str)
def test_attention_by_parts_equals_attention(options: dict[str, Any]) -> None:
    query, key, value = (torch.randn(2, 4, 10, 8) for _ in range(3))
    expected = F.scaled_dot_product_attention(query, key, value, **options)
    with UnfusedAttention():
        parts = F.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(parts, expected)


def test_attention_by_parts_adds_masks() -> None:
    query, key, value = (torch.randn(2, 4, 10, 8) for _ in range(3))
    for mask in (torch.randn(10, 10), torch.rand(10, 10) > 0.3):
        expected = F.scaled_dot_product_attention(query, key, value, mask)
        with UnfusedAttention():
            parts = F.scaled_dot_product_attention(query, key, value, mask)
        torch.testing.assert_close(parts, expected)


def test_attention_by_parts_saves_its_matrix() -> None:
    inputs = qkv(2, 4, 100, 64)
    fused = kept_bytes(lambda: F.scaled_dot_product_attention(*inputs), CudaKernels())
    parts = kept_bytes(lambda: F.scaled_dot_product_attention(*inputs), CudaKernels(), UnfusedAttention())
    matrix, output, log_sum_exp = 2 * 4 * 100 * 100 * 2, 2 * 4 * 100 * 64 * 2, 2 * 4 * 100 * 4
    assert parts - fused == matrix - output - log_sum_exp


def test_dropout_saves_one_byte_per_element_and_none_if_inactive() -> None:
    x = new(8, 100)
    assert kept_bytes(lambda: F.dropout(x, 0.5), CudaKernels()) == 8 * 100
    assert kept_bytes(lambda: F.dropout(x, 0.0), CudaKernels()) == 0
    assert kept_bytes(lambda: F.dropout(x, 0.5, training=False), CudaKernels()) == 0


def test_rms_norm_saves_its_input_and_one_number_per_row() -> None:
    x, weight = new(8, 10, 32), new(32)
    assert kept_bytes(lambda: F.rms_norm(x, (32,), weight), CudaKernels()) == 8 * 10 * (32 * 2 + 4) + 32 * 2


def test_an_lstm_saves_inputs_outputs_and_a_reserve_per_layer() -> None:
    lstm = nn.LSTM(16, 8, num_layers=2, bidirectional=True, batch_first=True, device="meta").half()
    x = new(4, 10, 16)
    with CudaKernels():
        assert lstm(x)[0].shape == (4, 10, 16)
    weights = sum(parameter.nbytes for parameter in lstm.parameters())
    steps = 4 * 10 * 16 * 2
    # the second layer's input is the first one's output
    assert kept_bytes(lambda: lstm(x), CudaKernels()) - weights == 3 * steps + 2 * LSTM_RESERVE * steps
