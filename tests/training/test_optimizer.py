from collections.abc import Callable
from copy import deepcopy
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback, TrainEvalCallback
from fastai.callback.schedule import ParamScheduler  # noqa: F401 the import gives Learner fine_tune
from fastai.learner import Learner
from fastai.optimizer import SGD, Adam
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.optimizer import N_GROUPS, optimizer_factory, phases, run_phase, split_parameters

STEPS_PER_EPOCH = 5


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


def test_only_matrices_decay(make_config: Callable[..., MemberConfig]) -> None:
    """With zero gradients, only weight decay changes parameters: norms and biases stay."""
    model = network()
    start = deepcopy(model.state_dict())
    for name in ("adamw", "sgd"):
        factory = optimizer_factory(make_config(weight_decay=0.5, optimizer=name))
        optimizer = factory(split_parameters(model), lr=0.1)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    decayed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, start[name])}
    assert decayed == {"0.0.weight", "1.weight"}


@pytest.mark.parametrize("name", ["adamw", "sgd"])
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
    step(other, factory(split_parameters(other), lr=0.1), 1.0)
    close(model, other)
    assert not torch.equal(model[1].weight, start["1.weight"])


def test_the_four_groups_hold_each_parameter_once() -> None:
    model = network()
    groups = split_parameters(model)
    assert len(groups) == N_GROUPS
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
