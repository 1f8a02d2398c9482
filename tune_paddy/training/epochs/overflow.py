"""Distinguish a step that overflowed fp16, which is skipped, from a training that has diverged.

The loss scaler skips a step whose gradients are not finite, and leaves the parameters unchanged. It does
not protect the running statistics of batch norms: one overflowing activation would stay in them for ever.
"""

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.modules.batchnorm import _BatchNorm

from tune_paddy.core.errors import DivergedError

LEAST_SCALE = 1e-4
"""Loss scale below which skipping steps no longer helps; fairseq's `min_loss_scale`."""


class NormStatistics:
    """Running statistics of a model's batch norms, restorable after a pass that may have overflowed.

    No method waits for the device.

    Args:
        model: Network, on its device.
    """

    def __init__(self, model: nn.Module) -> None:
        norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        statistics = [value for norm in norms for value in (norm.running_mean, norm.running_var)]
        self._current: list[Tensor] = [value for value in statistics if value is not None]
        self._kept = [value.clone() for value in self._current]

    @torch.no_grad()
    def keep(self) -> None:
        """Save the current statistics."""
        for kept, value in zip(self._kept, self._current, strict=True):
            kept.copy_(value, non_blocking=True)

    @torch.no_grad()
    def mend(self) -> None:
        """Replace each non-finite value by its saved value, channel by channel."""
        for kept, value in zip(self._kept, self._current, strict=True):
            value.copy_(torch.where(value.isfinite(), value, kept))


def mean_loss(losses: list[Tensor], model: nn.Module, scaler: GradScaler, epoch: int) -> float:
    """Return the mean of an epoch's finite losses; waits for the device once.

    Args:
        losses: Loss of each step, scalars on the device.
        model: Network after the epoch.
        scaler: Loss scaler after the epoch.
        epoch: Number of the epoch, for the error message.

    Raises:
        DivergedError: The loss was not finite in half of the steps or more; parameters or statistics are
            not finite; or overflowing gradients reduced the loss scale below `LEAST_SCALE`.
    """
    every = torch.stack(losses)
    finite = every.isfinite()
    n_lost = int((~finite).sum().item())
    if 2 * n_lost >= len(losses):
        raise DivergedError(
            f"the training loss is not finite in {n_lost} of {len(losses)} steps of epoch {epoch}"
        )
    if not _all_finite(model):
        raise DivergedError(f"parameters are not finite after epoch {epoch}")
    if scaler.is_enabled() and scaler.get_scale() < LEAST_SCALE:
        raise DivergedError(f"gradients overflow fp16 in epoch {epoch} at any loss scale")
    return every[finite].mean().item()


def _all_finite(model: nn.Module) -> bool:
    floats = [value for value in model.state_dict().values() if value.is_floating_point()]
    return bool(torch.stack([value.isfinite().all() for value in floats]).all().item())
