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
"""Parameter groups: body with and without weight decay, head with and without."""

_HEAD_FROM = 2
_EPS, _MOMENTUM, _SQUARED_MOMENTUM = 1e-5, 0.9, 0.99  # fastai's Adam


@dataclass(frozen=True)
class Phase:
    """One one-cycle run of a schedule.

    Attributes:
        epochs: Its length.
        frozen: Whether only the head and the norms train.
        lr: Peak learning rates of body and head.
        pct_start: Share of the phase until the peak.
        div: Peak divided by the first learning rate.
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
    """Split `Sequential(body, head)` into four groups; norms' and biases' vectors get no weight decay."""
    groups: list[list[nn.Parameter]] = []
    for part in model:
        parameters = list(part.parameters())
        groups.append([p for p in parameters if p.ndim > 1])
        groups.append([p for p in parameters if p.ndim <= 1])
    return groups


def optimizer_factory(config: MemberConfig) -> Any:
    """Return fastai's `opt_func`: a callable of (parameter groups, lr) that makes the optimizer."""
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
    """SGD whose weight decay is decoupled like AdamW's, as in fastai; torch's own adds it to the gradient.

    A step that the loss scaler skips decays nothing.
    """
    groups = [{"params": group["params"], "decay": group["weight_decay"]} for group in parameters]
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=_MOMENTUM, fused=True)
    optimizer.register_step_pre_hook(_begin_momentum)
    optimizer.register_step_pre_hook(_decay)
    return optimizer


def _begin_momentum(optimizer: torch.optim.Optimizer, *_arguments: Any) -> None:
    """Begin momentum at zero: torch leaves it unset in memory where the loss scaler skips the first step."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and not optimizer.state[parameter]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


@torch.no_grad()
def _decay(optimizer: torch.optim.Optimizer, *_arguments: Any) -> None:
    overflowed = getattr(optimizer, "found_inf", 0)  # a tensor of 0 or 1 where the loss is scaled
    for group in optimizer.param_groups:
        keep = 1 - group["lr"] * group["decay"] * (1 - overflowed)
        for parameter in group["params"]:
            if group["decay"] > 0 and parameter.grad is not None:
                parameter.mul_(keep)


def run_phase(learner: Any, phase: Phase, *, start_epoch: int, optimizer_state: Any = None) -> None:
    """Train one phase, from its `start_epoch` on.

    Args:
        learner: A fastai Learner with the four parameter groups.
        phase: What to run.
        start_epoch: Epochs of the phase that are done already.
        optimizer_state: Called with the optimizer before training when epochs are done already.
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
