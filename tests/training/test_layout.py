"""Channels-last layout: another order in memory, the same network."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.amp.grad_scaler import GradScaler

from tune_paddy.training.forecast.footprint import forecast
from tune_paddy.training.networks.model import build_model, lay_out
from tune_paddy.training.saved.checkpoint import load_latest, save_checkpoint


def built(arch: str, size: int = 64) -> nn.Sequential:
    torch.manual_seed(0)
    return build_model(arch, 10, size=(size, size))


def is_channels_last(model: nn.Module) -> bool:
    kernels = [p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    return all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


@pytest.mark.parametrize(
    ("arch", "size", "device", "expected"),
    [
        ("test_resnet", 64, "cpu", True),
        ("test_convnext", 64, "cuda", True),
        ("test_resnet", 64, "mps", False),
        ("test_vit", 64, "cuda", False),
        ("tiny_swinv2", 256, "cuda", False),
    ],
)
def test_only_convolutional_bodies_are_channels_last(
    arch: str, size: int, device: str, expected: bool
) -> None:
    assert is_channels_last(lay_out(built(arch, size), device)) is expected


@pytest.mark.parametrize("arch", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_the_layout_changes_neither_outputs_nor_gradients(arch: str) -> None:
    images, labels = torch.randn(4, 3, 64, 64), torch.arange(4)
    found = []
    for device in ("cpu", "mps"):  # mps keeps the layout
        model = lay_out(built(arch), device).eval()
        logits = model(images)
        F.cross_entropy(logits, labels).backward()
        found.append([logits, *(parameter.grad for parameter in model.parameters())])
    for last, first in zip(*found, strict=True):
        torch.testing.assert_close(last, first, atol=1e-4, rtol=1e-3)


def test_resuming_from_a_checkpoint_equals_uninterrupted_training(tmp_path: Path) -> None:
    """Checkpoints store moments contiguously; fused kernels need them in the parameters' layout."""
    images, labels = torch.randn(4, 3, 64, 64), torch.arange(4)

    def stepped(model: nn.Sequential, optimizer: torch.optim.Optimizer, n: int) -> nn.Sequential:
        for _ in range(n):
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
        return model

    def beginning() -> tuple[nn.Sequential, torch.optim.Optimizer]:
        model = lay_out(built("test_resnet"), "cpu").eval()
        return model, torch.optim.AdamW(model.parameters(), fused=True)

    model, optimizer = beginning()
    stepped(model, optimizer, 2)
    save_checkpoint(tmp_path, epoch=1, model=model, optimizer=optimizer, scaler=GradScaler("cpu"), history=[])
    stepped(model, optimizer, 1)
    checkpoint = load_latest(tmp_path)
    assert checkpoint is not None
    again, its_optimizer = beginning()
    again.load_state_dict(dict(checkpoint.model))
    stepped(again, its_optimizer, 1)  # creates a state to replace; the parameters are restored below
    again.load_state_dict(dict(checkpoint.model))
    checkpoint.restore_optimizer(its_optimizer)
    stepped(again, its_optimizer, 1)
    assert is_channels_last(again)
    for weight, expected in zip(again.parameters(), model.parameters(), strict=True):
        assert torch.equal(weight, expected)


@pytest.mark.parametrize("arch", ["test_resnet", "test_convnext"])
def test_the_layout_needs_no_more_memory(arch: str, tmp_path: Path) -> None:
    last, first = (
        forecast(arch, (64, 64), 64, channels_last=layout, cache=tmp_path) for layout in (None, False)
    )
    assert last.raw_mib() == pytest.approx(first.raw_mib(), rel=0.002)
