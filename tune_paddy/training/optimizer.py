"""Optimizer and schedule of a member: torch's fused optimizers under fastai's one-cycle schedules."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from fastai.callback.schedule import ParamScheduler  # noqa: F401 the import gives Learner fit_one_cycle
from fastai.optimizer import OptimWrapper
from torch import nn

from tune_paddy.core.config import MemberConfig

N_GROUPS = 4
"""Number of parameter groups: body with and without weight decay, head with and without."""

_HEAD_FROM = 2
_EPS, _MOMENTUM, _SQUARED_MOMENTUM = 1e-5, 0.9, 0.99  # fastai's Adam


@dataclass(frozen=True)
class Phase:
    """One one-cycle phase of a schedule.

    Attributes:
        epochs: Length of the phase, in epochs.
        frozen: Whether only the head and the norms train.
        lr: Peak learning rates of body and head.
        pct_start: Share of the phase before the peak, 0 to 1.
        div: Peak learning rate divided by the initial one.
    """

    epochs: int
    frozen: bool
    lr: tuple[float, float]
    pct_start: float
    div: float


def phases(config: MemberConfig) -> list[Phase]:
    """Return a member's phases, with the constants of fastai's `fine_tune` and `fit_one_cycle`."""
    lr = config.lr
    if config.schedule == "one_cycle":
        return [Phase(config.epochs, frozen=False, lr=(lr, lr), pct_start=0.25, div=25.0)]
    tuned = Phase(config.epochs, frozen=False, lr=(lr / 200, lr / 2), pct_start=0.3, div=5.0)
    if config.freeze_epochs == 0:
        return [tuned]
    return [Phase(config.freeze_epochs, frozen=True, lr=(lr / 10, lr), pct_start=0.99, div=25.0), tuned]


def split_parameters(model: nn.Sequential) -> list[list[nn.Parameter]]:
    """Split `Sequential(body, head)` into four groups; vectors (norms, biases) get no weight decay."""
    groups: list[list[nn.Parameter]] = []
    for part in model:
        parameters = list(part.parameters())
        groups.append([p for p in parameters if p.ndim > 1])
        groups.append([p for p in parameters if p.ndim <= 1])
    return groups


def optimizer_factory(config: MemberConfig) -> Any:
    """Return fastai's `opt_func`: a callable of (parameter groups, lr) that creates the optimizer."""
    return partial(_make, name=config.optimizer, weight_decay=config.weight_decay)


def _make(
    groups: Sequence[Sequence[nn.Parameter]], *, lr: float, name: str, weight_decay: float
) -> OptimWrapper:
    parameters = [
        {"params": list(group), "weight_decay": weight_decay if index % 2 == 0 else 0.0}
        for index, group in enumerate(groups)
    ]
    if name == "sgd":
        return OptimWrapper(opt=_sgd(parameters, lr))
    betas = (_MOMENTUM, _SQUARED_MOMENTUM)
    return OptimWrapper(opt=torch.optim.AdamW(parameters, lr=lr, betas=betas, eps=_EPS, fused=True))


def _sgd(parameters: list[dict[str, Any]], lr: float) -> torch.optim.SGD:
    """Return SGD with decoupled weight decay, as in fastai; torch's own adds the decay to the gradient.

    A step that the loss scaler skips applies no weight decay.
    """
    groups = [{"params": group["params"], "decay": group["weight_decay"]} for group in parameters]
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=_MOMENTUM, fused=True)
    optimizer.register_step_pre_hook(_begin_momentum)
    optimizer.register_step_pre_hook(_decay)
    return optimizer


def _begin_momentum(optimizer: torch.optim.Optimizer, *_arguments: Any) -> None:
    """Initialize momentum to zero: torch leaves it uninitialized if the loss scaler skips the first step."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and not optimizer.state[parameter]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


@torch.no_grad()
def _decay(optimizer: torch.optim.Optimizer, *_arguments: Any) -> None:
    overflowed = getattr(optimizer, "found_inf", 0)  # a tensor, 0 or 1, if the loss is scaled
    for group in optimizer.param_groups:
        keep = 1 - group["lr"] * group["decay"] * (1 - overflowed)
        for parameter in group["params"]:
            if group["decay"] > 0 and parameter.grad is not None:
                parameter.mul_(keep)


def run_phase(learner: Any, phase: Phase, *, start_epoch: int, optimizer_state: Any = None) -> None:
    """Train one phase, starting at `start_epoch`.

    Args:
        learner: fastai Learner with the four parameter groups.
        phase: Phase to train.
        start_epoch: Number of finished epochs of the phase.
        optimizer_state: Callback that restores the optimizer it is given; called only when resuming a phase.
    """
    learner.freeze_to(_HEAD_FROM if phase.frozen else 0)
    if start_epoch > 0 and optimizer_state is not None:
        optimizer_state(learner.opt.opt)
    body, head = phase.lr
    learner.fit_one_cycle(
        phase.epochs,
        [body, body, head, head],
        div=phase.div,
        pct_start=phase.pct_start,
        start_epoch=start_epoch,
    )
