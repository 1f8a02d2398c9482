"""An fp16 overflow skips its step; a diverged training ends."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import DivergedError
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training.devices import Device
from tune_paddy.training.epochs.overflow import LEAST_SCALE, NormStatistics, mean_loss
from tune_paddy.training.member import train_member
from tune_paddy.training.networks.model import Body
from tune_paddy.training.results import MemberResult
from tune_paddy.training.runtime import Runtime

Make = Callable[..., MemberConfig]
IDLE = Device("cpu", "fp32").grad_scaler()


def first(part: Part, n: int) -> Part:
    """Return the first images of a part."""
    return Part(part.ids[:n], part.paths[:n], part.labels[:n])


def losses(*values: float) -> list[Tensor]:
    return [torch.tensor(value) for value in values]


def test_steps_that_overflowed_are_left_out_of_the_mean() -> None:
    assert mean_loss(losses(1, float("inf"), 3, 2, float("nan")), nn.Linear(2, 2), IDLE, 1) == 2


def test_mostly_non_finite_losses_are_divergence() -> None:
    with pytest.raises(DivergedError, match=r"^the training loss is not finite in 2 of 4 steps of epoch 7$"):
        mean_loss(losses(1, float("inf"), float("nan"), 2), nn.Linear(2, 2), IDLE, 7)


@pytest.mark.parametrize("name", ["weight", "running_var"])
def test_non_finite_parameters_or_statistics_are_divergence(name: str) -> None:
    model = nn.BatchNorm1d(3)
    with torch.no_grad():
        getattr(model, name)[1] = float("nan")
    with pytest.raises(DivergedError, match=r"^parameters are not finite after epoch 2$"):
        mean_loss(losses(1, 2), model, IDLE, 2)


def test_a_tiny_loss_scale_is_divergence() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=LEAST_SCALE / 2)
    scaler.scale(torch.ones(()))  # the first use creates the scale
    with pytest.raises(DivergedError, match="at any loss scale"):
        mean_loss(losses(1, 2), nn.Linear(2, 2), scaler, 1)


def test_only_channels_that_overflowed_get_their_statistics_restored() -> None:
    norm = nn.BatchNorm2d(2)
    statistics = NormStatistics(norm)
    norm(torch.randn(4, 2, 3, 3))
    statistics.keep()
    before = norm.running_mean.clone(), norm.running_var.clone()
    images = torch.randn(4, 2, 3, 3)
    images[0, 1] = float("inf")
    norm(images)
    assert not norm.running_mean[1].isfinite()
    statistics.mend()
    assert norm.running_mean[1] == before[0][1]
    assert norm.running_var[1] == before[1][1]
    assert norm.running_mean[0] != before[0][0]


@pytest.fixture
def train_in_fp16(
    parts: Parts, make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., MemberResult]:
    """Return a function that trains a batch norm network in fp16, with some of its six steps overflowing.

    On few images: fp16 convolutions take a second per batch on most CPUs.
    """
    few = replace(
        parts, train=first(parts.train, 15), select=first(parts.select, 5), test=first(parts.test, 5)
    )

    def train(overflowing: set[int], **changes: object) -> MemberResult:
        monkeypatch.setattr(
            "tune_paddy.training.attempt.pick_device", lambda *_args, **_options: Device("cpu", "fp16")
        )
        forward, calls = Body.forward, []

        def faulty(body: Body, images: Tensor) -> Tensor:
            if not body.training:
                return forward(body, images)
            calls.append(len(images))
            return forward(body, images * float("inf") if len(calls) in overflowing else images)

        monkeypatch.setattr(Body, "forward", faulty)
        base = {"arch": "test_resnet", "schedule": "one_cycle", "epochs": 2, "batch_size": 5, "tta": 0}
        config = make_config(**base, **changes)
        result = train_member(config, few, Runtime(tmp_path))
        assert len(calls) == 6
        return result

    return train


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_member_survives_an_overflow_in_fp16(
    optimizer: str, train_in_fp16: Callable[..., MemberResult]
) -> None:
    """In the first step of the second epoch; the batch norms' statistics would stay infinite."""
    result = train_in_fp16({4}, optimizer=optimizer)
    assert [epoch["train_loss"] < 5 for epoch in result.history] == [True, True]


def test_a_member_that_overflows_in_most_steps_has_diverged(
    train_in_fp16: Callable[..., MemberResult],
) -> None:
    with pytest.raises(DivergedError, match="not finite in 2 of 3 steps of epoch 2"):
        train_in_fp16({4, 6})
