"""Calm epochs: the last epochs of a schedule, in which augmentation is mild and nothing is mixed."""

from tune_paddy.core.config import MemberConfig

CALM_SCALE = 0.9
"""Smallest random crop in calm epochs, share of the area."""

_OFF = {
    "max_rotate": 0.0,
    "max_zoom": 1.0,
    "max_warp": 0.0,
    "max_lighting": 0.0,
    "randaugment": 0,
    "trivialaugment": False,
    "erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
}


def config_of_epoch(config: MemberConfig, epoch: int) -> MemberConfig:
    """Return the configuration that the batches of an epoch are drawn from.

    The last `calm_epochs` of the schedule keep the flips and a crop of at least nine tenths of the area: the
    network ends its training on images like those it will predict. The practice is that of YOLOX (Ge et al.
    2021, arXiv:2107.08430), which ends mosaic, affine maps and mixup 15 epochs early and keeps the flips, and
    of timm's `mixup_off_epoch`.

    Args:
        config: Configuration of the member.
        epoch: Number of the epoch over the whole schedule, from 0.
    """
    if epoch < config.total_epochs - config.calm_epochs:
        return config
    return config.model_copy(update={**_OFF, "min_scale": max(config.min_scale, CALM_SCALE)})
