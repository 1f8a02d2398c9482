from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback, CancelFitException, TrainEvalCallback
from fastai.callback.schedule import ParamScheduler  # noqa: F401 the import gives Learner fine_tune
from fastai.learner import Learner
from fastai.optimizer import SGD, Adam
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.devices import Device
from tune_paddy.training.optimizer import (
    optimizer_factory,
    phases,
    run_phase,
    split_parameters,
    splitter,
)
from tune_paddy.training.saved.checkpoint import load_latest, save_checkpoint

STEPS_PER_EPOCH = 5
OPTIMIZERS = get_args(MemberConfig.model_fields["optimizer"].annotation)


def network() -> nn.Sequential:
    """A body with a norm and a head, in double precision to keep rounding out of comparisons."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh())
    return nn.Sequential(body, nn.Linear(8, 3)).double()


def batches() -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    return [(torch.randn(7, 6).double(), torch.randint(3, (7,))) for _ in range(STEPS_PER_EPOCH)]


class Recorder(Callback):
    """Records learning rates and momenta before each step."""

    def __init__(self) -> None:
        self.steps: list[list[tuple[float, float]]] = []

    def before_step(self) -> None:
        self.steps.append([(hyper["lr"], hyper["mom"]) for hyper in self.learn.opt.hypers])


def learner(model: nn.Module, opt_func: Any, splitter: Any, recorder: Callback, **options: Any) -> Learner:
    """A plain fastai Learner that trains on the same five batches every epoch."""
    loaders = SimpleNamespace(train=batches(), device=torch.device("cpu"))
    cbs = [TrainEvalCallback(), recorder]
    made = Learner(
        loaders, model, F.cross_entropy, opt_func, splitter=splitter, cbs=cbs, default_cbs=False, **options
    )
    made._do_epoch_validate = lambda: None
    return made


def by_group(model: nn.Sequential) -> list[list[nn.Parameter]]:
    """Split as fastai does: the body, and the head."""
    return [list(part.parameters()) for part in model]


def ours(config: MemberConfig) -> tuple[nn.Sequential, Recorder]:
    recorder, model = Recorder(), network()
    made = learner(model, optimizer_factory(config), split_parameters, recorder)
    for phase in phases(config):
        run_phase(made, phase, start_epoch=0)
    return model, recorder


def close(first: nn.Module, second: nn.Module) -> None:
    for name, weight in first.state_dict().items():
        torch.testing.assert_close(weight, second.state_dict()[name], atol=1e-5, rtol=0)


def test_fused_adamw_takes_the_steps_of_fastais_adam(make_config: Callable[..., MemberConfig]) -> None:
    """20 steps of a one-cycle schedule: momentum 0.95 to 0.85 and back, eps 1e-5, decoupled decay 0.01."""
    config = make_config(schedule="one_cycle", epochs=4, lr=0.02, weight_decay=0.01)
    model, recorder = ours(config)
    reference, expected = network(), Recorder()
    learner(reference, Adam, by_group, expected, wd=0.01).fit_one_cycle(4, 0.02)
    assert len(recorder.steps) == len(expected.steps) == 20
    close(model, reference)
    assert (model[1].weight - network()[1].weight).abs().max() > 0.05


def test_sgd_takes_the_steps_of_fastais_sgd(make_config: Callable[..., MemberConfig]) -> None:
    """Its weight decay is decoupled too: one value means the same for both optimizers."""
    config = make_config(schedule="one_cycle", epochs=4, optimizer="sgd", lr=0.3, weight_decay=0.1)
    reference = network()
    sgd = partial(SGD, mom=0.9)
    learner(reference, sgd, by_group, Recorder(), wd=0.1).fit_one_cycle(4, 0.3)
    close(ours(config)[0], reference)


@pytest.mark.parametrize(("epochs", "freeze_epochs"), [(3, 1), (1, 2)])
def test_fine_tune_sets_the_rates_and_momenta_of_fastais_at_every_step(
    epochs: int, freeze_epochs: int, make_config: Callable[..., MemberConfig]
) -> None:
    _, recorder = ours(make_config(epochs=epochs, freeze_epochs=freeze_epochs, lr=0.01))
    expected = Recorder()
    learner(network(), Adam, by_group, expected).fine_tune(epochs, 0.01, freeze_epochs=freeze_epochs)
    assert len(recorder.steps) == len(expected.steps) == STEPS_PER_EPOCH * (epochs + freeze_epochs)
    for step, (body, head) in zip(recorder.steps, expected.steps, strict=True):
        for hypers, reference in zip(step, (body, body, head, head), strict=True):
            assert hypers == pytest.approx(reference)


def test_fine_tune_trains_to_the_parameters_of_fastais(make_config: Callable[..., MemberConfig]) -> None:
    """Including the frozen epoch, whose moments fastai discards when it unfreezes."""
    config = make_config(epochs=3, freeze_epochs=1, lr=0.05, weight_decay=0.01)
    reference = network()
    learner(reference, Adam, by_group, Recorder(), wd=0.01).fine_tune(3, 0.05)
    close(ours(config)[0], reference)


class Layers(nn.Sequential):
    """Three layers that say what they are, as timm's models do."""

    def group_matcher(self, *, coarse: bool) -> dict[str, str]:
        assert not coarse
        return {"layers": r"^(\d+)"}


@pytest.mark.parametrize("schedule", ["fine_tune", "one_cycle"])
def test_with_layer_decay_the_rate_halves_from_layer_to_layer_below_that_of_the_head(
    schedule: str, make_config: Callable[..., MemberConfig]
) -> None:
    """In frozen epochs too. Each layer has a group with weight decay and one without."""
    body = nn.Sequential()
    body.model = Layers(nn.Linear(6, 8), nn.Linear(8, 8), nn.LayerNorm(8))
    model = nn.Sequential(body, nn.Linear(8, 3)).double()
    config = make_config(schedule=schedule, layer_decay=0.5, weight_decay=0.1)
    recorder = Recorder()
    made = learner(model, optimizer_factory(config), splitter(config), recorder)
    for phase in phases(config):
        before = len(recorder.steps)
        run_phase(made, phase, start_epoch=0)
        rates = [rate for rate, _ in recorder.steps[before]]
        first = phase.lr[1] / phase.div
        assert rates == pytest.approx(
            [first / 4, first / 4, first / 2, first / 2, first, first, first, first]
        )
    assert [group["weight_decay"] for group in made.opt.opt.param_groups] == [0.1, 0.0] * 4
    assert [len(group) for group in made.opt.param_lists] == [1, 1, 1, 1, 0, 2, 1, 1]


def test_a_one_cycle_schedule_has_no_frozen_epochs(make_config: Callable[..., MemberConfig]) -> None:
    (phase,) = phases(make_config(schedule="one_cycle", epochs=5, freeze_epochs=3))
    assert (phase.epochs, phase.frozen) == (5, False)


def test_fine_tune_without_frozen_epochs_starts_unfrozen(make_config: Callable[..., MemberConfig]) -> None:
    (phase,) = phases(make_config(schedule="fine_tune", epochs=5, freeze_epochs=0))
    assert (phase.epochs, phase.frozen) == (5, False)


def test_the_phases_add_up_to_the_configured_epochs(make_config: Callable[..., MemberConfig]) -> None:
    config = make_config(epochs=5, freeze_epochs=3)
    assert sum(phase.epochs for phase in phases(config)) == config.total_epochs


def test_a_frozen_phase_trains_only_the_head_and_the_bodys_norms(
    make_config: Callable[..., MemberConfig],
) -> None:
    model = network()
    start = deepcopy(model.state_dict())
    config = make_config(lr=0.05)
    made = learner(model, optimizer_factory(config), split_parameters, Recorder())
    run_phase(made, phases(config)[0], start_epoch=0)
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, start[name])}
    assert changed == {"0.1.weight", "0.1.bias", "1.weight", "1.bias"}
    run_phase(made, phases(config)[1], start_epoch=0)
    assert not torch.equal(model[0][0].weight, start["0.0.weight"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_only_matrices_decay(name: str, make_config: Callable[..., MemberConfig]) -> None:
    """With zero gradients, only weight decay changes parameters: norms and biases stay."""
    model = network()
    start = deepcopy(model.state_dict())
    factory = optimizer_factory(make_config(weight_decay=0.5, optimizer=name))
    optimizer = factory(split_parameters(model), lr=0.1)
    for _ in range(2):  # ADOPT's first step only measures the gradients
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    decayed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, start[name])}
    assert decayed == {"0.0.weight", "1.weight"}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_that_the_loss_scaler_skips_changes_nothing(
    name: str, make_config: Callable[..., MemberConfig]
) -> None:
    """Neither weight decay nor momentum: the next step equals a first step."""
    model, other = network().float(), network().float()
    factory = optimizer_factory(make_config(weight_decay=0.5, optimizer=name))
    start = deepcopy(model.state_dict())
    scaler = torch.amp.GradScaler("cpu")

    def step(model: nn.Module, optimizer: Any, factor: float) -> None:
        scaler.scale(model(torch.ones(2, 6)).sum() * factor).backward()
        scaler.step(optimizer.opt)
        scaler.update()
        optimizer.zero_grad()

    optimizer = factory(split_parameters(model), lr=0.1)
    step(model, optimizer, float("inf"))
    assert all(torch.equal(weight, start[key]) for key, weight in model.state_dict().items())
    step(model, optimizer, 1.0)
    second = factory(split_parameters(other), lr=0.1)
    step(other, second, 1.0)
    close(model, other)
    step(model, optimizer, 1.0)  # ADOPT's first step only measures the gradients
    step(other, second, 1.0)
    close(model, other)
    assert not torch.equal(model[1].weight, start["1.weight"])


def test_the_four_groups_hold_each_parameter_once() -> None:
    model = network()
    groups = split_parameters(model)
    assert len(groups) == 4
    parameters = [parameter for group in groups for parameter in group]
    assert {id(parameter) for parameter in parameters} == {id(parameter) for parameter in model.parameters()}
    assert len(parameters) == len(list(model.parameters()))


def test_a_body_without_vectors_trains_with_an_empty_group(make_config: Callable[..., MemberConfig]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.Linear(8, 3)).double()
    config = make_config(epochs=1)
    made = learner(model, optimizer_factory(config), split_parameters, Recorder())
    start = model[0].weight.detach().clone()
    for phase in phases(config):
        run_phase(made, phase, start_epoch=0)
    assert not torch.equal(model[0].weight, start)


class _Stop(Callback):
    """Writes a checkpoint after an epoch, and ends the training."""

    def __init__(self, folder: Path, epoch: int) -> None:
        self.folder, self.last = folder, epoch

    def after_epoch(self) -> None:
        if self.learn.epoch + 1 == self.last:
            learn, scaler = self.learn, Device("cpu", "fp32").grad_scaler()
            save_checkpoint(
                self.folder,
                epoch=self.last,
                model=learn.model,
                optimizer=learn.opt.opt,
                scaler=scaler,
                history=[],
            )
            raise CancelFitException


def wide(seed: int) -> nn.Sequential:
    """A body with a convolution, a norm and matrices, large enough for Muon, and a head."""
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 8, 3), nn.Flatten(), nn.LayerNorm(32))
    return nn.Sequential(body, nn.Sequential(nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 3))).double()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_epochs_and_two_resumed_ones_equal_four_bit_by_bit(
    name: str, tmp_path: Path, make_config: Callable[..., MemberConfig]
) -> None:
    """In the unfrozen phase of fine_tune, whose first steps follow a frozen epoch's moments."""
    config = make_config(epochs=4, freeze_epochs=1, optimizer=name, lr=0.01)
    frozen, tuned = phases(config)
    whole = wide(0)
    uninterrupted = learner(whole, optimizer_factory(config), split_parameters, Recorder())
    run_phase(uninterrupted, frozen, start_epoch=0)
    run_phase(uninterrupted, tuned, start_epoch=0)

    stopped = learner(wide(0), optimizer_factory(config), split_parameters, Recorder())
    run_phase(stopped, frozen, start_epoch=0)
    stopped.add_cb(_Stop(tmp_path, 2))
    run_phase(stopped, tuned, start_epoch=0)

    checkpoint = load_latest(tmp_path)
    assert checkpoint is not None
    resumed = wide(7)
    resumed.load_state_dict(dict(checkpoint.model))
    again = learner(resumed, optimizer_factory(config), split_parameters, Recorder())
    run_phase(again, tuned, start_epoch=2, optimizer_state=checkpoint.restore_optimizer)
    for key, weight in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], weight), key
    assert not torch.equal(whole[1][0].weight, stopped.model[1][0].weight)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_phase_starts_without_the_moments_of_the_one_before(
    name: str, make_config: Callable[..., MemberConfig]
) -> None:
    """Two learners from equal parameters take equal steps, whatever one of them trained before."""
    config = make_config(epochs=1, freeze_epochs=1, optimizer=name, lr=0.01)
    frozen, tuned = phases(config)
    first = learner(wide(0), optimizer_factory(config), split_parameters, Recorder())
    run_phase(first, frozen, start_epoch=0)
    second = learner(deepcopy(first.model), optimizer_factory(config), split_parameters, Recorder())
    run_phase(first, tuned, start_epoch=0)
    run_phase(second, tuned, start_epoch=0)
    for key, weight in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[key], weight), key


def test_muon_trains_matrices_by_momentum_alone_and_everything_else_as_adamw(
    make_config: Callable[..., MemberConfig],
) -> None:
    """Norms, biases, depthwise kernels and matrices with a side below 4 keep AdamW's two moments."""
    model = wide(0)
    optimizer = optimizer_factory(make_config(optimizer="muon"))(split_parameters(model), lr=0.1)
    model(torch.randn(4, 6).double()).sum().backward()
    optimizer.step()
    by_muon = {
        name for name, weight in model.named_parameters() if "momentum_buffer" in optimizer.opt.state[weight]
    }
    assert by_muon == {"1.0.weight"}
    assert {group["momentum"] for group in optimizer.opt.param_groups} == {0.95}
