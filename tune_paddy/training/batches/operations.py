"""RandAugment and TrivialAugment: operations of random kind and strength, drawn in advance for every image.

RandAugment is Cubuk et al. 2019 (arXiv:1909.13719), TrivialAugment is Müller and Hutter 2021
(arXiv:2103.10158, its wide ranges). Kinds, ranges and colour operations are torchvision's `RandAugment` and
`TrivialAugmentWide`.

Shear, translation and rotation are maps of positions. They join the one warp of `augment`, which samples the
image once; so borders are reflected, where torchvision paints them black. The colour operations follow the
lighting, in the order in which they were drawn.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.devices import send

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STRONGEST = 30
"""Largest magnitude: the ranges have the steps 0 to 30, as in torchvision."""

_RANGES: Mapping[str, tuple[float, float, bool]] = {
    "Identity": (0, 0, False),
    "ShearX": (0.3, 0.99, True),
    "ShearY": (0.3, 0.99, True),
    "TranslateX": (150 / 331, 32, True),  # RandAugment: shares of the side, TrivialAugment: px
    "TranslateY": (150 / 331, 32, True),
    "Rotate": (30, 135, True),  # degrees
    "Brightness": (0.9, 0.99, True),
    "Color": (0.9, 0.99, True),
    "Contrast": (0.9, 0.99, True),
    "Sharpness": (0.9, 0.99, True),
    "Posterize": (4, 6, False),  # bits that are dropped
    "Solarize": (1, 1, False),  # share of the values that are inverted
    "AutoContrast": (0, 0, False),
    "Equalize": (0, 0, False),
}
"""Operation → its amount at the largest magnitude of RandAugment and TrivialAugment; whether it has signs."""

KINDS = tuple(_RANGES)
"""Names of the operations; `Operations.kind` holds their indices."""

_SHEAR_X, _SHEAR_Y, _MOVE_X, _MOVE_Y, _ROTATE, _FIRST_COLOUR = range(1, 7)


@dataclass(frozen=True)
class Operations:
    """The operations of some images, in the order in which they are applied.

    Attributes:
        kind: Index into `KINDS`, int64 [images, operations].
        amount: Strength with its sign, float64 [images, operations]: shear as a tangent, translation in px,
            rotation in degrees, change of a colour factor, bits dropped, share of the values inverted.
    """

    kind: Ints
    amount: Floats

    def __getitem__(self, rows: Any) -> "Operations":
        """Return the operations of some of the images."""
        return Operations(self.kind[rows], self.amount[rows])

    def __len__(self) -> int:
        return len(self.kind)


def draw_operations(config: MemberConfig, n: int, rng: np.random.Generator) -> Operations | None:
    """Draw the operations of `n` images; None if both RandAugment and TrivialAugment are off.

    RandAugment applies `randaugment_ops` operations of one magnitude; TrivialAugment applies one operation
    of a uniform magnitude. Both draw the kinds uniformly, and a sign for each operation that has signs.
    """
    if not (config.randaugment or config.trivialaugment):
        return None
    shape = (n, 1 if config.trivialaugment else config.randaugment_ops)
    kind = rng.integers(len(KINDS), size=shape)
    steps = rng.integers(STRONGEST + 1, size=shape) if config.trivialaugment else config.randaugment
    amount = _largest(config)[kind] * steps / STRONGEST
    signed = np.array([signs for _, _, signs in _RANGES.values()])[kind]
    return Operations(kind, np.where(signed & (rng.integers(2, size=shape) == 1), -amount, amount))


def _largest(config: MemberConfig) -> Floats:
    """Return the amount of every kind at the largest magnitude, float64 [kinds]."""
    largest = np.array([wide if config.trivialaugment else weak for weak, wide, _ in _RANGES.values()])
    if not config.trivialaugment:
        height, width = config.size
        largest[_MOVE_X] *= width
        largest[_MOVE_Y] *= height
    return largest.astype(np.float64)


def operation_matrices(operations: Operations, size: tuple[int, int]) -> Floats:
    """Compose the shears, translations and rotations of each image.

    Args:
        operations: Operations of n images.
        size: (height, width) in px of the augmented images.

    Returns:
        float64 [n, 3, 3]: maps of (x, y, 1) in -1..1 from an augmented image to the image before them.
    """
    matrices = np.tile(np.eye(3), (len(operations), 1, 1))
    for kind, amount in zip(operations.kind.T, operations.amount.T, strict=True):
        matrices = matrices @ _maps(kind, amount, size)
    return matrices


def _maps(kind: Ints, amount: Floats, size: tuple[int, int]) -> Floats:
    height, width = size
    maps = np.tile(np.eye(3), (len(kind), 1, 1))
    tilt = np.where(kind == _SHEAR_X, amount, 0) * height / width
    maps[:, 0, 1] += tilt
    maps[:, 0, 2] += tilt - np.where(kind == _MOVE_X, amount, 0) * 2 / width  # the first row of pixels stays
    lean = np.where(kind == _SHEAR_Y, amount, 0) * width / height
    maps[:, 1, 0] += lean
    maps[:, 1, 2] += lean - np.where(kind == _MOVE_Y, amount, 0) * 2 / height
    turned = kind == _ROTATE
    angle = np.radians(amount[turned])
    maps[turned, 0, 0] = maps[turned, 1, 1] = np.cos(angle)
    maps[turned, 0, 1] = -np.sin(angle) * height / width
    maps[turned, 1, 0] = np.sin(angle) * width / height
    return maps


def recolour(images: Tensor, operations: Operations) -> Tensor:
    """Apply the colour operations, in place.

    Images with equal operations are changed together. No operation looks at other images.

    Args:
        images: float [n, 3, height, width], values 0..1.
        operations: Operations of these n images; shears, translations and rotations are passed over.

    Returns:
        `images`.
    """
    for kind, amount in zip(operations.kind.T, operations.amount.T, strict=True):
        rows = np.lexsort((amount, kind))
        rows = rows[kind[rows] >= _FIRST_COLOUR]
        if len(rows):
            _recolour_groups(images, rows, kind[rows], amount[rows])
    return images


def _recolour_groups(images: Tensor, rows: Ints, kind: Ints, amount: Floats) -> None:
    """Change images whose kinds and amounts are sorted."""
    sent = send(torch.from_numpy(rows), images.device)
    starts = np.flatnonzero(np.diff(kind, prepend=-1) | (np.diff(amount, prepend=np.inf) != 0))
    for start, stop in pairwise([*starts.tolist(), len(rows)]):
        part = sent[start:stop]
        changed = _COLOURS[KINDS[kind[start]]](images.index_select(0, part), float(amount[start]))
        images.index_copy_(0, part, changed)


def _sharpen(images: Tensor, amount: float) -> Tensor:
    """Change the sharpness as torchvision does, whose own function would make a GPU wait for its kernel."""
    sharpened = images.clone()
    middle = sharpened[..., 1:-1, 1:-1]
    # Pillow's smoothing filter has the weights 1 around a centre of 5: the mean of all nine, and 4 centres.
    middle.lerp_((9 * F.avg_pool2d(images, 3, stride=1) + 4 * middle) / 13, -amount)
    return sharpened.clamp_(0, 1)


_BITS = 8

_COLOURS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "Brightness": lambda images, amount: vision.adjust_brightness(images, 1 + amount),
    "Color": lambda images, amount: vision.adjust_saturation(images, 1 + amount),
    "Contrast": lambda images, amount: vision.adjust_contrast(images, 1 + amount),
    "Sharpness": _sharpen,
    "Posterize": lambda images, amount: vision.posterize(images, _BITS - round(amount)),
    "Solarize": lambda images, amount: vision.solarize(images, 1 - amount),
    "AutoContrast": lambda images, _: vision.autocontrast(images),
    "Equalize": lambda images, _: vision.equalize(images),
}
