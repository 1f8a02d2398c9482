"""Tell a step that overflowed fp16, which is skipped and forgotten, from a training that has diverged.

The loss scaler skips a step whose gradients are not finite, and leaves the weights alone. The running
statistics of batch norms it does not know of: one overflowing activation would stay in them for ever.
"""

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.modules.batchnorm import _BatchNorm

from tune_paddy.core.errors import DivergedError

LEAST_SCALE = 1e-4
"""Loss scale below which skipping is not a matter of its steps any more; fairseq's `min_loss_scale`."""


class NormStatistics:
    """Running statistics of a model's batch norms, to mend after a pass that may have overflowed.

    Nothing waits for the device.

    Args:
        model: The network.
    """

    def __init__(self, model: nn.Module) -> None:
        norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        statistics = [value for norm in norms for value in (norm.running_mean, norm.running_var)]
        self._current: list[Tensor] = [value for value in statistics if value is not None]
        self._kept = [value.clone() for value in self._current]

    @torch.no_grad()
    def keep(self) -> None:
        """Remember the statistics as they are."""
        for kept, value in zip(self._kept, self._current, strict=True):
            kept.copy_(value, non_blocking=True)

    @torch.no_grad()
    def mend(self) -> None:
        """Put back, channel by channel, what was remembered of those that are not finite any more."""
        for kept, value in zip(self._kept, self._current, strict=True):
            value.copy_(torch.where(value.isfinite(), value, kept))


def mean_loss(losses: list[Tensor], model: nn.Module, scaler: GradScaler, epoch: int) -> float:
    """Return the mean of an epoch's losses over the steps that counted; waits for the device once.

    Args:
        losses: Of each step, scalars on the device.
        model: After the epoch.
        scaler: Its loss scaler.
        epoch: For the message.

    Raises:
        DivergedError: In half of the steps or more the loss was not finite, or weights or statistics are
            not, or the gradients overflowed until next to nothing was left of the scale.
    """
    every = torch.stack(losses)
    finite = every.isfinite()
    n_lost = int((~finite).sum().item())
    if 2 * n_lost >= len(losses):
        raise DivergedError(
            f"the training loss is not finite in {n_lost} of {len(losses)} steps of epoch {epoch}"
        )
    if not _all_finite(model):
        raise DivergedError(f"weights are not finite after epoch {epoch}")
    if scaler.is_enabled() and scaler.get_scale() < LEAST_SCALE:
        raise DivergedError(f"gradients overflow fp16 in epoch {epoch} at any scale of the loss")
    return every[finite].mean().item()


def _all_finite(model: nn.Module) -> bool:
    floats = [value for value in model.state_dict().values() if value.is_floating_point()]
    return bool(torch.stack([value.isfinite().all() for value in floats]).all().item())
