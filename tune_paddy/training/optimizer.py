"""Optimizer and schedule of a member: torch's and timm's optimizers under fastai's one-cycle schedules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from fastai.callback.schedule import ParamScheduler  # noqa: F401 the import gives Learner fit_one_cycle
from fastai.optimizer import OptimWrapper
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]  # imported there without `as`
from torch import nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.networks.layers import body_layers

_HEAD_GROUPS = 2  # with and without weight decay; they are the last
_EPS, _MOMENTUM, _SQUARED_MOMENTUM = 1e-5, 0.9, 0.99  # fastai's Adam
_TIMM: dict[str, tuple[str, dict[str, Any]]] = {
    "nadamw": ("nadamw", {}),
    "radam": ("radamw", {}),
    "adopt": ("adoptw", {}),
    "laprop": ("laprop", {}),
    "mars": ("mars", {}),
    "lamb": ("lamb", {}),
    "lion": ("lion", {}),
    "muon": ("muon", {"momentum": 0.95}),  # timm's factory would set 0.9, its class and Muon's author 0.95
}
"""Optimizer → timm's name of its variant with decoupled weight decay, and arguments other than defaults."""


@dataclass(frozen=True)
class Phase:
    """One one-cycle phase of a schedule.

    Attributes:
        epochs: Length of the phase, in epochs.
        frozen: Whether only the head and the norms train.
        lr: Peak learning rates of body and head.
        pct_start: Share of the phase before the peak, 0 to 1.
        div: Peak learning rate divided by the initial one.
        layer_decay: Learning rate of a layer of the body divided by that of the next one; the last layer has
            the body's.
    """

    epochs: int
    frozen: bool
    lr: tuple[float, float]
    pct_start: float
    div: float
    layer_decay: float = 1.0


def phases(config: MemberConfig) -> list[Phase]:
    """Return a member's phases, with the constants of fastai's `fine_tune` and `fit_one_cycle`.

    With `layer_decay`, the body's last layer gets the learning rate of the head, as in BEiT and MAE: the
    layers' factors take the place of fastai's 1/100 for the whole body.
    """
    return [_by_layer(phase, config.layer_decay) for phase in _fastai_phases(config)]


def _by_layer(phase: Phase, layer_decay: float) -> Phase:
    if layer_decay == 1:
        return phase
    return replace(phase, lr=(phase.lr[1], phase.lr[1]), layer_decay=layer_decay)


def _fastai_phases(config: MemberConfig) -> list[Phase]:
    lr = config.lr
    if config.schedule == "one_cycle":
        return [Phase(config.epochs, frozen=False, lr=(lr, lr), pct_start=0.25, div=25.0)]
    tuned = Phase(config.epochs, frozen=False, lr=(lr / 200, lr / 2), pct_start=0.3, div=5.0)
    if config.freeze_epochs == 0:
        return [tuned]
    return [Phase(config.freeze_epochs, frozen=True, lr=(lr / 10, lr), pct_start=0.99, div=25.0), tuned]


def split_parameters(model: nn.Sequential) -> list[list[nn.Parameter]]:
    """Split `Sequential(body, head)` into four groups: body with and without weight decay, head likewise.

    Vectors (norms, biases) get no weight decay.
    """
    return _in_pairs([list(part.parameters()) for part in model])


def splitter(config: MemberConfig) -> Callable[[nn.Sequential], list[list[nn.Parameter]]]:
    """Return fastai's `splitter` of a member: by body and head, or with `layer_decay` by layer and head.

    Its result alternates between parameters with and without weight decay. It raises an InputError if
    `layer_decay` is set, and the architecture does not name its layers.
    """
    return split_parameters if config.layer_decay == 1 else _split_by_layer


def _split_by_layer(model: nn.Sequential) -> list[list[nn.Parameter]]:
    return _in_pairs([*body_layers(model[0]), list(model[1].parameters())])


def _in_pairs(parts: Sequence[Sequence[nn.Parameter]]) -> list[list[nn.Parameter]]:
    return [
        [p for p in parameters if (p.ndim > 1) == decays] for parameters in parts for decays in (True, False)
    ]


def optimizer_factory(config: MemberConfig) -> Any:
    """Return fastai's `opt_func`: a callable of (parameter groups, lr) that creates the optimizer."""
    return partial(_make, name=config.optimizer, weight_decay=config.weight_decay)


class _Wrapped(OptimWrapper):
    """An optimizer of torch or timm under fastai's schedules."""

    def clear_state(self) -> None:
        """Discard the moments, and the count of steps that timm's LAMB keeps beside them."""
        super().clear_state()
        for group in self.opt.param_groups:
            group.pop("step", None)


def _make(
    groups: Sequence[Sequence[nn.Parameter]], *, lr: float, name: str, weight_decay: float
) -> OptimWrapper:
    parameters = [
        {"params": list(group), "weight_decay": weight_decay if index % 2 == 0 else 0.0}
        for index, group in enumerate(groups)
    ]
    if name in _TIMM:
        variant, options = _TIMM[name]
        return _Wrapped(opt=create_optimizer_v2(parameters, opt=variant, lr=lr, **options))
    # timm has both, but not fused: their steps would wait for a loss scaler.
    if name == "sgd":
        return _Wrapped(opt=_sgd(parameters, lr))
    betas = (_MOMENTUM, _SQUARED_MOMENTUM)
    return _Wrapped(opt=torch.optim.AdamW(parameters, lr=lr, betas=betas, eps=_EPS, fused=True))


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
        learner: fastai Learner with the parameter groups of `splitter`.
        phase: Phase to train.
        start_epoch: Number of finished epochs of the phase.
        optimizer_state: Callback that restores the optimizer it is given; called only when resuming a phase.
    """
    learner.freeze_to(-_HEAD_GROUPS if phase.frozen else 0)
    if start_epoch > 0 and optimizer_state is not None:
        optimizer_state(learner.opt.opt)
    learner.fit_one_cycle(
        phase.epochs,
        _group_rates(phase, len(learner.opt.param_lists)),
        div=phase.div,
        pct_start=phase.pct_start,
        start_epoch=start_epoch,
    )


def _group_rates(phase: Phase, n_groups: int) -> list[float]:
    """Return the peak learning rate of each of `n_groups` parameter groups."""
    body, head = phase.lr
    layers = (n_groups - _HEAD_GROUPS) // 2
    of_layers = [body * phase.layer_decay**below for below in reversed(range(layers))]
    return [rate for rate in (*of_layers, head) for _ in range(2)]
