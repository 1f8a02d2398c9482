"""Random erasing: a random box of an image becomes the mean colour; the boxes are drawn in advance.

Source: Zhong et al. 2017 (arXiv:1708.04896), with the ranges of timm's `RandomErasing`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.devices import send

Ints = NDArray[np.int64]

_AREA = (0.02, 1 / 3)
_ASPECT = (0.3, 1 / 0.3)
_ATTEMPTS = 10


@dataclass(frozen=True)
class Boxes:
    """The box that each image loses, in px of the augmented image.

    Attributes:
        edges: Top, bottom, left and right, int64 [images, 4]; bottom and right are outside. All zero: none.
    """

    edges: Ints

    def __getitem__(self, rows: Any) -> "Boxes":
        """Return the boxes of some of the images."""
        return Boxes(self.edges[rows])

    def __len__(self) -> int:
        return len(self.edges)


def draw_boxes(config: MemberConfig, n: int, rng: np.random.Generator) -> Boxes | None:
    """Draw the boxes of `n` images; None if erasing is off.

    The area is uniform from 2 % to a third of the image, the logarithm of the aspect ratio from 0.3 to its
    inverse. A box that is as high or as wide as the image is drawn again, up to ten times.
    """
    if config.erasing == 0:
        return None
    shape, (height, width) = (n, _ATTEMPTS), config.size
    area = rng.uniform(*_AREA, shape) * height * width
    aspect = np.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1]), shape))
    tall, wide = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (tall < height) & (wide < width)
    first = np.arange(n), fits.argmax(axis=1)
    erased = fits.any(axis=1) & (rng.random(n) < config.erasing)
    top, left = (
        np.floor(rng.random(n) * (side - own[first] + 1)) for side, own in ((height, tall), (width, wide))
    )
    edges = np.stack([top, top + tall[first], left, left + wide[first]], axis=1)
    return Boxes(np.where(erased[:, None], edges, 0).astype(np.int64))


def erase(images: Tensor, boxes: Boxes) -> Tensor:
    """Set each image's box to zero, in place: the mean colour of normalised images.

    Args:
        images: Normalised images, float [n, 3, height, width].
        boxes: Boxes of these n images.

    Returns:
        `images`.
    """
    top, bottom, left, right = send(torch.from_numpy(boxes.edges), images.device).T[..., None]
    y, x = (torch.arange(side, device=images.device) for side in images.shape[-2:])
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
    return images.masked_fill_((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)
