from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.member_data import Parts
from tune_paddy.training.accumulation import MemberLearner, lone_image_norm, micro_batch, micro_slices
from tune_paddy.training.batches.augment import centre, normalize
from tune_paddy.training.batches.loaders import ImageReader, TrainLoader
from tune_paddy.training.devices import Device
from tune_paddy.training.optimizer import optimizer_factory, phases, run_phase, split_parameters

CPU = Device("cpu", "fp32")
N_CLASSES = 10

counts = st.integers(1, 300)


@given(n=counts, accum=counts)
def test_micro_slices_cover_each_image_once_in_order(n: int, accum: int) -> None:
    slices = micro_slices(n, accum)
    assert [row for part in slices for row in range(part.start, part.stop)] == list(range(n))


@given(n=counts, accum=counts)
def test_micro_slices_have_the_requested_number_and_nearly_equal_lengths(n: int, accum: int) -> None:
    lengths = [part.stop - part.start for part in micro_slices(n, accum)]
    assert len(lengths) == min(n, accum)
    assert max(lengths) - min(lengths) <= 1


@given(batch_size=counts, accum=counts)
def test_micro_batch_is_the_longest_slice_of_a_full_batch(batch_size: int, accum: int) -> None:
    longest = max(part.stop - part.start for part in micro_slices(batch_size, accum))
    assert micro_batch(batch_size, accum) == longest


class Watch(Callback):
    """Records the optimizer's settings before each step, and each step's loss."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float]] = []
        self.losses: list[float] = []

    def before_step(self) -> None:
        hypers = self.learn.opt.hypers[-1]
        self.steps.append((hypers["lr"], hypers["mom"]))
        self.losses.append(self.learn.loss.item())


def network() -> nn.Sequential:
    """A body and a head without batch norm, which would make results depend on the micro-batch."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), nn.GELU(), nn.GroupNorm(2, 8))
    return nn.Sequential(body, nn.Sequential(nn.Flatten(), nn.Linear(8 * 7 * 7, N_CLASSES)))


def make_learner(
    config: MemberConfig,
    train: Any,
    model: nn.Module,
    *,
    accum: int = 1,
    device: Device = CPU,
    cbs: tuple[Callback, ...] = (),
) -> MemberLearner:
    return MemberLearner(
        train,
        model,
        config,
        n_classes=N_CLASSES,
        device=device,
        accum=accum,
        opt_func=optimizer_factory(config),
        splitter=split_parameters,
        cbs=cbs,
    )


def trained(config: MemberConfig, train: TrainLoader, accum: int) -> tuple[nn.Module, Watch]:
    watch = Watch()
    model = network()
    learner = make_learner(config, train, model, accum=accum, cbs=(watch,))
    for phase in phases(config):
        run_phase(learner, phase, start_epoch=0)
    return model, watch


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mixup": 0.4, "label_smoothing": 0.1},
        {"cutmix": 1.0},
        {"optimizer": "sgd", "lr": 0.1},
        {"erasing": 0.5, "cutmix": 1.0, "loss": "focal", "calm_epochs": 1},
        {"loss": "bce", "sampler": "balanced", "mixup": 0.4},
        {"optimizer": "sgd", "lr": 0.1, "clip_grad": 0.5},
    ],
    ids=[
        "plain",
        "mixup and label smoothing",
        "cutmix",
        "sgd",
        "erasing and focal",
        "bce and sampler",
        "clipped gradients",
    ],
)
def test_any_accum_trains_to_the_same_parameters(
    changes: dict[str, object],
    parts: Parts,
    reader: ImageReader,
    make_config: Callable[..., MemberConfig],
) -> None:
    """100 images in two batches of 50, whole, in fourths (13, 12, …) and in thirds (17, 17, 16)."""
    config = make_config(batch_size=64, epochs=3, **changes)
    train = TrainLoader(reader, parts.train.labels, config)
    whole, _ = trained(config, train, 1)
    start = network()
    for accum in (3, 4):
        model, _ = trained(config, train, accum)
        for name, weight in whole.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], weight, atol=1e-5, rtol=0)
    moved = max((a - b).abs().max() for a, b in zip(whole.parameters(), start.parameters(), strict=True))
    assert moved > 1e-3


@pytest.mark.parametrize(
    "changes", [{"randaugment": 9, "randaugment_ops": 4}, {"trivialaugment": True}], ids=str
)
def test_any_accum_trains_on_the_same_images(
    changes: dict[str, object], parts: Parts, reader: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    """But for single pixels: posterizing and equalizing turn a difference of rounding into a step."""
    config = make_config(batch_size=50, erasing=0.5, mixup=0.4, **changes)
    train = TrainLoader(reader, parts.train.labels, config)
    batch = next(iter(train))
    (whole, targets), *others = (
        make_learner(config, train, network(), accum=accum)._prepare(batch) for accum in (1, 3, 50)
    )
    for images, own_targets in others:
        assert ((images - whole).abs() > 1e-4).float().mean() < 1e-3
        assert torch.equal(own_targets, targets)


def test_the_number_of_steps_and_their_schedule_do_not_depend_on_accum(
    parts: Parts, reader: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    config = make_config(batch_size=32, epochs=2, freeze_epochs=1)
    train = TrainLoader(reader, parts.train.labels, config)
    watches = [trained(config, train, accum)[1] for accum in (1, 3, 32)]
    assert len(watches[0].steps) == 3 * 4
    assert len(set(watches[0].steps)) > 4
    assert watches[0].steps == watches[1].steps == watches[2].steps


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_a_step_is_the_mean_over_its_images_for_any_split(
    smoothing: float, parts: Parts, reader: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    """Nine micro-batches of 6 and 5 images: a mean of means would give images of a short one more weight."""
    neutral = {"min_scale": 1, "max_rotate": 0, "max_zoom": 1, "max_warp": 0, "max_lighting": 0}
    config = make_config(batch_size=50, epochs=1, freeze_epochs=0, label_smoothing=smoothing, **neutral)
    train = TrainLoader(reader, parts.train.labels, config)
    model, watch = network(), Watch()
    learner = make_learner(config, train, model, accum=9, cbs=(watch,))
    batch = next(iter(train))
    logits = model(normalize(centre(batch.images, (32, 32)), *learner.stats))
    expected = F.cross_entropy(logits, batch.labels, label_smoothing=smoothing)
    run_phase(learner, phases(config)[0], start_epoch=0)
    assert watch.losses[0] == pytest.approx(expected.item(), rel=1e-5)


@pytest.fixture
def normed() -> nn.Sequential:
    """A network with batch norm, in training mode."""
    return nn.Sequential(nn.Conv2d(3, 4, 32), nn.BatchNorm2d(4)).train()


def running_means(model: nn.Module) -> list[Tensor]:
    return [m.running_mean.clone() for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


def test_a_single_image_passes_batch_norm_without_changing_its_statistics(normed: nn.Sequential) -> None:
    before = running_means(normed)
    with lone_image_norm(normed, 1):
        normed(torch.rand(1, 3, 32, 32))
    assert all(map(torch.equal, before, running_means(normed)))
    assert all(module.training for module in normed.modules())


def test_two_images_are_normed_by_their_own_statistics(normed: nn.Sequential) -> None:
    before = running_means(normed)
    with lone_image_norm(normed, 2):
        normed(torch.rand(2, 3, 32, 32))
    assert not any(map(torch.equal, before, running_means(normed)))


def test_norms_return_to_training_mode_after_a_failed_pass(normed: nn.Sequential) -> None:
    with pytest.raises(MemoryError), lone_image_norm(normed, 1):
        raise MemoryError
    assert all(module.training for module in normed.modules())


def test_frozen_norms_stay_frozen_after_a_single_image(normed: nn.Sequential) -> None:
    normed[1].eval()
    with lone_image_norm(normed, 1):
        normed(torch.rand(1, 3, 32, 32))
    assert not normed[1].training


class Overflowing(nn.Module):
    """Its loss overflows fp16 in the first batch only."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, N_CLASSES)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        factor = float("inf") if self.calls == 1 else 1.0
        pooled = images.mean((2, 3))
        pooled.requires_grad_().register_hook(lambda grad: grad)
        logits: Tensor = self.linear(pooled)
        logits.register_hook(lambda grad: grad * factor)
        return logits


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion"])
@pytest.mark.parametrize("clip_grad", [0, 0.1])
def test_in_fp16_an_overflow_skips_its_step_and_halves_the_scale(
    *,
    optimizer: str,
    clip_grad: float,
    parts: Parts,
    reader: ImageReader,
    make_config: Callable[..., MemberConfig],
) -> None:
    config = make_config(
        batch_size=100, epochs=1, schedule="one_cycle", optimizer=optimizer, clip_grad=clip_grad
    )
    model = nn.Sequential(Overflowing(), nn.Identity())
    start = model[0].linear.weight.detach().clone()
    device = Device("cpu", "fp16")
    learner = make_learner(config, TrainLoader(reader, parts.train.labels, config), model, device=device)
    scale = learner.scaler.get_scale()
    run_phase(learner, phases(config)[0], start_epoch=0)
    assert torch.equal(model[0].linear.weight, start)
    assert learner.scaler.get_scale() == scale / 2


class GradientNorms(Callback):
    """Records the norm of the gradient that each step uses."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def after_step(self) -> None:
        gradients = [p.grad.flatten() for p in self.learn.model.parameters() if p.grad is not None]
        self.norms.append(torch.cat(gradients).norm().item())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_clipped_gradient_has_the_given_norm_before_the_loss_was_scaled(
    precision: str, parts: Parts, reader: ImageReader, make_config: Callable[..., MemberConfig]
) -> None:
    """In fp16 the scaled gradient is 65536 times as long."""
    config = make_config(batch_size=50, epochs=1, schedule="one_cycle", clip_grad=0.01)
    norms = GradientNorms()
    learner = make_learner(
        config,
        TrainLoader(reader, parts.train.labels, config),
        network(),
        accum=2,
        device=Device("cpu", precision),
        cbs=(norms,),
    )
    run_phase(learner, phases(config)[0], start_epoch=0)
    assert norms.norms == pytest.approx([0.01, 0.01], rel=1e-3)
