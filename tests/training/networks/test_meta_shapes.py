from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tune_paddy.training.networks.meta_shapes import layers_by_shape

LAYERS: dict[str, Callable[[Tensor], Tensor]] = {
    "layer norm": nn.LayerNorm(4, device="meta"),
    "batch norm": nn.BatchNorm2d(4, device="meta").eval(),
    "linear": nn.Linear(4, 7, device="meta"),
    "linear without bias": nn.Linear(4, 7, bias=False, device="meta"),
    "linear by keyword": lambda values: F.linear(values, weight=torch.zeros(7, 4, device="meta")),
    "layer norm by keyword": lambda values: F.layer_norm(values, normalized_shape=[4]),
    "sum": lambda values: values + torch.zeros(2, 4, 3, 4, device="meta"),
    "product": lambda values: torch.mul(values, torch.zeros(2, 4, 3, 4, device="meta")),
    "scaled channels": lambda values: values * torch.zeros(4, 1, 1, device="meta"),
    "attention": lambda values: F.scaled_dot_product_attention(
        values, torch.zeros(2, 4, 5, 4, device="meta"), torch.zeros(2, 4, 5, 7, device="meta")
    ),
    "masked attention": lambda values: F.scaled_dot_product_attention(
        values, values, values, attn_mask=torch.zeros(4, 3, 3, device="meta")
    ),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=list(LAYERS))
def test_a_layer_without_values_has_torchs_shape_and_still_refuses_a_wrong_one(
    layer: Callable[[Tensor], Tensor],
) -> None:
    right, wrong = torch.zeros(2, 4, 3, 4, device="meta"), torch.zeros(2, 3, 5, 5, device="meta")
    expected = layer(right)
    with layers_by_shape():
        assert layer(right).shape == expected.shape
        assert layer(right).dtype == expected.dtype
        assert layer(right).stride() == expected.stride()
        with pytest.raises(RuntimeError):
            layer(wrong)


@pytest.mark.parametrize(
    "options",
    [
        {"attn_mask": torch.ones(3, 3, device="meta", dtype=torch.bool), "is_causal": True},
        {"attn_mask": torch.ones(3, 3, device="meta", dtype=torch.int)},
    ],
    ids=["mask of a causal one", "mask of integers"],
)
def test_attention_that_torch_refuses_is_refused(options: dict[str, Any]) -> None:
    values = torch.zeros(2, 4, 3, 4, device="meta")
    with layers_by_shape(), pytest.raises(RuntimeError):
        F.scaled_dot_product_attention(values, values, values, **options)


def test_attention_of_permuted_values_is_laid_out_as_on_a_cpu() -> None:
    on_cpu = torch.zeros(2, 5, 3, 4, 8).permute(2, 0, 3, 1, 4)
    expected = F.scaled_dot_product_attention(*on_cpu.unbind(0))
    with layers_by_shape():
        found = F.scaled_dot_product_attention(*on_cpu.to("meta").unbind(0))
    assert (found.shape, found.stride()) == (expected.shape, expected.stride())


def test_a_number_by_its_keyword_an_output_and_an_expanded_tensor_are_left_to_torch() -> None:
    values, output = torch.zeros(2, 3, device="meta"), torch.zeros(2, 3, device="meta")
    expanded = torch.zeros(3, 1, 5, device="meta").expand(3, 4, 5).permute(2, 0, 1)
    expected = expanded + 1
    with layers_by_shape():
        assert torch.pow(values, exponent=2).shape == values.shape
        assert torch.add(values, 1, out=output) is output
        assert (expanded + 1).stride() == expected.stride()


@pytest.mark.parametrize("operator", [torch.add, torch.sub, torch.mul, torch.div, torch.pow])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_an_operation_with_a_number_keeps_shape_type_and_layout(
    operator: Callable[[Tensor, float], Tensor], layout: torch.memory_format
) -> None:
    for dtype in (torch.half, torch.int):
        values = torch.zeros(2, 3, 4, 5, device="meta", dtype=dtype)
        laid_out = values.contiguous(memory_format=layout)
        expected = operator(laid_out, 2)
        with layers_by_shape():
            found = operator(laid_out, 2)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert found.stride() == expected.stride()


@pytest.mark.parametrize("activation", [F.relu, F.relu6, F.silu, F.gelu, F.hardswish, F.hardsigmoid])
def test_an_activation_without_values_has_its_inputs_shape(activation: Callable[[Tensor], Tensor]) -> None:
    values = torch.zeros(2, 3, device="meta")
    expected = activation(values)
    with layers_by_shape():
        assert (activation(values).shape, activation(values).dtype) == (expected.shape, expected.dtype)


OTHERS = (1.5, torch.zeros(3, device="meta").half(), torch.zeros(2, 3, device="meta"))


@pytest.mark.parametrize("other", OTHERS, ids=["a number", "another shape", "another type"])
def test_operands_of_other_shapes_and_types_are_left_to_torch(other: float | Tensor) -> None:
    values = torch.zeros(2, 3, device="meta").half()
    expected = values + other
    with layers_by_shape():
        assert ((values + other).shape, (values + other).dtype) == (expected.shape, expected.dtype)


def test_values_are_computed_where_there_are_any() -> None:
    with layers_by_shape():
        assert F.relu(torch.tensor([-1.0, 2.0])).tolist() == [0, 2]
        assert (torch.ones(2) + torch.ones(2)).tolist() == [2, 2]
