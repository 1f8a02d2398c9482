"""Count the operations of a network's forward pass without running it."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.training.networks.model import build_model
from tune_paddy.training.networks.plan import without_initial_weights


def forward_operations(
    arch: str, size: tuple[int, int], n_classes: int, *, head: str = "concat_pool", frozen: bool = False
) -> int:
    """Return the floating-point operations of matrix products and convolutions for one image.

    The forward pass runs on the meta device, which computes shapes alone.

    Args:
        arch: timm model name.
        size: (height, width) in px.
        n_classes: Width of the last layer.
        head: `concat_pool`, `linear` or `fitted`.
        frozen: Whether the head is that of a frozen member.

    Raises:
        InputError: Unknown arch, or a size that it does not accept.
        TunePaddyError: The network needs values, which the meta device has not.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        with without_initial_weights():
            model = build_model(arch, n_classes, size=size, head=head, frozen=frozen).eval()
        counter = FlopCounterMode(display=False)
        try:
            with torch.inference_mode(), counter:
                model(torch.zeros(1, 3, *size))
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0][:160]
            raise TunePaddyError(f"the operations of {arch} cannot be counted: {reason}") from error
    return int(counter.get_total_flops())
