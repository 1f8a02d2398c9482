"""mixup and CutMix on whole batches, from numbers drawn in advance."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.devices import send


@dataclass(frozen=True)
class Mix:
    """Parameters of mixing one batch.

    Attributes:
        partner: Row of each image's partner, int64 [n].
        weight: Share of the image itself, float64 [n]; 0.5 to 1 for mixup.
        box: Box pasted from the partner, (top, bottom, left, right) as shares of the side; None for mixup.
    """

    partner: NDArray[np.int64]
    weight: NDArray[np.float64]
    box: tuple[float, float, float, float] | None


def draw_mix(config: MemberConfig, n: int, rng: np.random.Generator) -> Mix | None:
    """Draw the mixing of a batch of `n` images; if both kinds are on, draw one of them.

    mixup is Zhang et al. 2018 (arXiv:1710.09412), with one weight of at least 0.5 per image, as in fastai.
    CutMix is Yun et al. 2019 (arXiv:1905.04899), with one box per batch.
    """
    kinds = [kind for kind in ("mixup", "cutmix") if getattr(config, kind) > 0]
    if not kinds:
        return None
    kind = kinds[rng.integers(len(kinds))]
    partner = rng.permutation(n)
    if kind == "mixup":
        weight = rng.beta(config.mixup, config.mixup, n)
        return Mix(partner, np.maximum(weight, 1 - weight), None)
    side = np.sqrt(1 - rng.beta(config.cutmix, config.cutmix))
    y, x = rng.random(2)
    top, bottom = np.clip([y - side / 2, y + side / 2], 0, 1)
    left, right = np.clip([x - side / 2, x + side / 2], 0, 1)
    return Mix(partner, np.full(n, 1.0), (float(top), float(bottom), float(left), float(right)))


def mix_batch(images: Tensor, targets: Tensor, mix: Mix) -> tuple[Tensor, Tensor]:
    """Mix a batch.

    Args:
        images: float [n, 3, h, w].
        targets: Shares of the classes, float [n, classes].
        mix: Parameters drawn for these n images.

    Returns:
        The mixed images, and the targets mixed by the same shares.
    """
    partner = send(torch.from_numpy(mix.partner), images.device)
    weight = send(torch.from_numpy(mix.weight).to(images.dtype), images.device)
    if mix.box is None:
        shares = weight.view(-1, 1, 1, 1)
        mixed = images * shares + images[partner] * (1 - shares)
    else:
        mixed, share = _paste(images, images[partner], mix.box)
        weight = torch.full_like(weight, share)
    return mixed, targets * weight[:, None] + targets[partner] * (1 - weight[:, None])


def _paste(images: Tensor, others: Tensor, box: tuple[float, float, float, float]) -> tuple[Tensor, float]:
    """Paste a box of `others`; also return the exact share of pixels that stay."""
    height, width = images.shape[-2:]
    top, bottom = (round(share * height) for share in box[:2])
    left, right = (round(share * width) for share in box[2:])
    pasted = images.clone()
    pasted[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return pasted, 1 - (bottom - top) * (right - left) / (height * width)
