import torch
from torch import nn

from tune_paddy.training.forecast.activations import LiveBytes, SavedBytes


def test_a_storage_saved_by_several_operators_is_counted_once() -> None:
    x = torch.randn(10, requires_grad=True)
    saved = SavedBytes([x])
    with saved.collecting():
        squared = x.exp()  # saves its result
        (squared * squared.view(2, 5).reshape(10)).sum()  # saves it again, and a view of it
    assert saved.total == 10 * 4


def test_known_tensors_are_not_counted() -> None:
    x, weight = torch.randn(3, 10), nn.Parameter(torch.randn(10, 10))
    saved = SavedBytes([weight])
    with saved.collecting():
        x @ weight
    assert saved.total == x.nbytes


def test_a_saved_storage_is_not_confused_with_a_later_one() -> None:
    """A freed storage's address may be reused; the address of a counted one must not be."""
    x = torch.randn(1000, requires_grad=True)
    saved = SavedBytes([])
    with saved.collecting():
        for _ in range(20):
            x.exp()
    assert saved.total == 20 * x.nbytes


def test_a_buffer_replaced_during_the_pass_hides_no_other_storage() -> None:
    """A new storage must not get the buffer's address, or it would not be counted."""
    buffers = [torch.zeros(1000)]
    saved = SavedBytes(buffers)
    buffers.clear()
    x = torch.randn(1000, requires_grad=True)
    with saved.collecting():
        x.exp()
    assert saved.total == x.nbytes


def test_backward_still_works_with_counted_tensors() -> None:
    x = torch.randn(10, requires_grad=True)
    with SavedBytes([x]).collecting():
        loss = x.exp().sum()
    loss.backward()
    torch.testing.assert_close(x.grad, x.exp())


def test_the_peak_is_the_largest_number_of_bytes_alive_at_once() -> None:
    x = torch.zeros(1000, device="meta")
    live = LiveBytes()
    with live:
        y = x + 1  # 1 alive
        z = y + 1  # 2
        del y  # 1
        z = z + 1  # 2, then 1
        torch.cat([z, z, z])  # 4
        z + 1  # 2 again
    assert live.peak == 4 * 1000 * 4


def test_views_and_in_place_results_are_not_counted_again() -> None:
    x = torch.zeros(1000, device="meta")
    live = LiveBytes()
    with live:
        y = x + 1
        y.view(10, 100).t().add_(1).relu_()
    assert live.peak == 1000 * 4


def test_parameters_cast_down_are_not_counted() -> None:
    weight = nn.Parameter(torch.zeros(1000, device="meta"))
    live = LiveBytes()
    with live:
        weight.half()
    assert live.peak == 0
