"""Augmentation in one warp: crop, flip, rotation, zoom, perspective and resize share one sampling grid.

The transforms, their ranges and probabilities are those of fastai's `aug_transforms` and
`RandomResizedCropGPU`, which warp at full size and crop afterwards. Composing the same maps and sampling
once at the output size is several times less work. All random numbers of an epoch are drawn in advance,
one row per image, so they depend on neither the micro-batch nor the thread.

Two differences are deliberate: every image has its own crop, in the image's proportions (fastai cuts one
square per batch), and `dihedral` draws its eight cases uniformly (fastai leaves more than half unchanged).
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.batches.operations import Operations, operation_matrices, recolour
from tune_paddy.training.devices import resize_uint8, send

Floats = NDArray[np.float64]

_CORNERS = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=np.float64)
_LOGIT_EPS = 1e-7
_DIHEDRAL = 8
_CACHED = 2**20
"""Number of values that a CPU thread augments at a time: 4 MiB as float32."""


@dataclass(frozen=True)
class Draws:
    """The random choices of augmentation; every array has one entry per image.

    Attributes:
        crop: Side of the crop as a share of the image's side.
        crop_y: Vertical position of the crop, 0 (top) to 1 (bottom).
        crop_x: Horizontal position, 0 (left) to 1 (right).
        dihedral: 0 to 7: bit 0 mirrors left and right, bit 1 top and bottom, bit 2 swaps the axes.
        angle: Rotation, in radians.
        zoom: Zoom factor, at least 1.
        zoom_y: Vertical centre of the zoom, 0 to 1.
        zoom_x: Horizontal centre of the zoom, 0 to 1.
        warp_y: Vertical perspective magnitude, -max_warp to max_warp.
        warp_x: Horizontal perspective magnitude, -max_warp to max_warp.
        brightness: Offset added to the pixels' logits.
        contrast: Factor of the pixels' logits.
    """

    crop: Floats
    crop_y: Floats
    crop_x: Floats
    dihedral: NDArray[np.int64]
    angle: Floats
    zoom: Floats
    zoom_y: Floats
    zoom_x: Floats
    warp_y: Floats
    warp_x: Floats
    brightness: Floats
    contrast: Floats

    def __getitem__(self, rows: Any) -> "Draws":
        """Return the choices of some of the images."""
        return Draws(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def __len__(self) -> int:
        return len(self.crop)


def draw(config: MemberConfig, n: int, rng: np.random.Generator) -> Draws:
    """Draw the augmentation of `n` images."""

    def sometimes(p: float, values: Floats, neutral: float) -> Floats:
        return np.where(rng.random(n) < p, values, neutral)

    max_angle = math.radians(config.max_rotate)
    light = config.max_lighting
    spread = abs(math.log(1 - light))  # abs: numpy refuses the range 0.0 to -0.0
    return Draws(
        crop=np.sqrt(rng.uniform(config.min_scale, 1, n)),
        crop_y=rng.random(n),
        crop_x=rng.random(n),
        dihedral=_draw_dihedral(config.flip, n, rng),
        angle=sometimes(config.p_affine, rng.uniform(-max_angle, max_angle, n), 0.0),
        zoom=sometimes(config.p_affine, rng.uniform(1.0, config.max_zoom, n), 1.0),
        zoom_y=rng.random(n),
        zoom_x=rng.random(n),
        warp_y=sometimes(config.p_affine, rng.uniform(-config.max_warp, config.max_warp, n), 0.0),
        warp_x=sometimes(config.p_affine, rng.uniform(-config.max_warp, config.max_warp, n), 0.0),
        brightness=sometimes(
            config.p_lighting, _logit(rng.uniform((1 - light) / 2, (1 + light) / 2, n)), 0.0
        ),
        contrast=sometimes(config.p_lighting, np.exp(rng.uniform(-spread, spread, n)), 1.0),
    )


def _draw_dihedral(flip: str, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    choices = {"none": 1, "horizontal": 2, "dihedral": _DIHEDRAL}[flip]
    return rng.integers(choices, size=n)


def _logit(p: Floats) -> Floats:
    return np.log(p / (1 - p))


def warp_matrices(draws: Draws, aspect: float = 1.0, last: Floats | None = None) -> NDArray[np.float32]:
    """Compose each image's maps from output to input positions, both (x, y) in -1..1.

    Args:
        draws: Random choices for n images.
        aspect: Height of the input images divided by their width, so that rotations do not shear.
        last: Maps of the augmented image, applied after all others, float64 [n, 3, 3]; None: none.

    Returns:
        float32 [n, 3, 3]: homographies, applied to (x, y, 1) and divided by the third coordinate.
    """
    turned = _dihedral(draws.dihedral) @ _rotation(draws) @ _zoom(draws)
    turned[:, 0, 1] *= aspect
    turned[:, 1, 0] /= aspect
    maps = _perspective(draws) @ turned @ _crop(draws)
    return (maps if last is None else maps @ last).astype(np.float32)


def _affine(n: int) -> Floats:
    return np.tile(np.eye(3), (n, 1, 1))


def _crop(draws: Draws) -> Floats:
    matrices = _affine(len(draws))
    matrices[:, 0, 0] = matrices[:, 1, 1] = draws.crop
    matrices[:, 0, 2] = (1 - draws.crop) * (2 * draws.crop_x - 1)
    matrices[:, 1, 2] = (1 - draws.crop) * (2 * draws.crop_y - 1)
    return matrices


def _zoom(draws: Draws) -> Floats:
    matrices = _affine(len(draws))
    scale = 1 / draws.zoom
    matrices[:, 0, 0] = matrices[:, 1, 1] = scale
    matrices[:, 0, 2] = (1 - scale) * (2 * draws.zoom_x - 1)
    matrices[:, 1, 2] = (1 - scale) * (2 * draws.zoom_y - 1)
    return matrices


def _rotation(draws: Draws) -> Floats:
    matrices = _affine(len(draws))
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(draws.angle)
    matrices[:, 0, 1] = np.sin(draws.angle)
    matrices[:, 1, 0] = -np.sin(draws.angle)
    return matrices


def _dihedral(dihedral: NDArray[np.int64]) -> Floats:
    matrices = _affine(len(dihedral))
    matrices[:, 0, 0] = np.where(dihedral & 1, -1, 1)
    matrices[:, 1, 1] = np.where(dihedral & 2, -1, 1)
    swapped = (dihedral & 4) > 0
    matrices[swapped] = matrices[swapped][:, [1, 0, 2]]
    return matrices


def _perspective(draws: Draws) -> Floats:
    """Return fastai's Warp as homographies: one edge's corners move in, the opposite edge's move out."""
    x, y = draws.warp_x, draws.warp_y
    corners = [(-1 - y, -1 - x), (-1 + y, 1 + x), (1 + y, -1 + x), (1 - y, 1 - x)]
    n = len(draws)
    system = np.zeros((n, 8, 8))
    for corner, (u, v) in enumerate(corners):
        for axis in (0, 1):
            row, target = 2 * corner + axis, _CORNERS[corner, axis]
            system[:, row, 3 * axis] = u
            system[:, row, 3 * axis + 1] = v
            system[:, row, 3 * axis + 2] = 1
            system[:, row, 6] = -u * target
            system[:, row, 7] = -v * target
    solution = np.linalg.solve(system, np.tile(_CORNERS.reshape(8, 1), (n, 1, 1)))[..., 0]
    return np.concatenate([solution, np.ones((n, 1))], axis=1).reshape(n, 3, 3)


def augment(
    images: Tensor, draws: Draws, size: tuple[int, int], operations: Operations | None = None
) -> Tensor:
    """Apply warp, lighting and colour operations to a batch.

    Args:
        images: Values 0..255 [n, 3, H, W], bytes or floats, on any device.
        draws: Random choices for these n images.
        size: (height, width) in px of the result.
        operations: Operations of RandAugment or TrivialAugment for these n images; None: none.

    Returns:
        float32 [n, 3, height, width], values 0..1.
    """
    last = None if operations is None else operation_matrices(operations, size)
    matrices = torch.from_numpy(warp_matrices(draws, images.shape[-2] / images.shape[-1], last))
    step = _at_a_time(images)
    if step >= len(images):
        augmented = _augment(images, matrices, draws, size)
    else:
        parts = [slice(start, start + step) for start in range(0, len(images), step)]
        augmented = torch.cat([_augment(images[part], matrices[part], draws[part], size) for part in parts])
    return augmented if operations is None else recolour(augmented, operations)


def _at_a_time(images: Tensor) -> int:
    """Return the number of images to process at once: as many as fit a CPU's cache; on a GPU, all."""
    if images.device.type != "cpu":
        return len(images)
    return max(1, _CACHED // images[0].numel()) * torch.get_num_threads()


def _augment(images: Tensor, matrices: Tensor, draws: Draws, size: tuple[int, int]) -> Tensor:
    coords = warp_grid(send(matrices, images.device), size)
    floats = shrink(images, size).to(torch.float32)
    warped = F.grid_sample(floats, coords, padding_mode="reflection", align_corners=False)
    return _lighting(warped.div_(255), draws)


def shrink(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Shrink images larger than twice `size` to that: bilinear sampling would skip some of their pixels.

    `augment` calls this itself. Call it beforehand to augment one batch several times.

    Args:
        images: uint8 [n, 3, H, W].
        size: (height, width) in px of the result of `augment`.

    Returns:
        Values 0..255, see `resize_uint8`; `images` themselves if they are small enough.
    """
    excess = min(images.shape[-2] / size[0], images.shape[-1] / size[1]) / 2
    if excess <= 1:
        return images
    height, width = (int(side / excess) for side in images.shape[-2:])
    return resize_uint8(images, (height, width), antialias=True)


def warp_grid(matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the input position of every output pixel.

    Args:
        matrices: float32 [n, 3, 3], see `warp_matrices`.
        size: (height, width) in px of the output.

    Returns:
        float32 [n, height, width, 2]: (x, y) in -1..1.
    """
    y, x = (_pixel_centres(side, matrices.device) for side in size)
    factors = matrices[:, :, :, None, None]
    across, down, depth = (
        factors[:, row, 0] * x + (factors[:, row, 1] * y[:, None] + factors[:, row, 2]) for row in range(3)
    )
    grid = torch.empty(len(matrices), *size, 2, device=matrices.device)
    torch.div(across, depth, out=grid[..., 0])
    torch.div(down, depth, out=grid[..., 1])
    return grid


def _pixel_centres(side: int, device: torch.device) -> Tensor:
    return (2 * torch.arange(side, device=device) + 1) / side - 1


def centre(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images to `size` without augmentation, as in validation.

    Args:
        images: Values 0..255 [n, 3, H, W], bytes or floats.
        size: (height, width) in px of the result.

    Returns:
        float32 [n, 3, height, width], values 0..1.
    """
    small = shrink(images, size)
    return as_floats(small if small.shape[-2:] == size else resize_uint8(small, size, antialias=False))


def as_floats(images: Tensor) -> Tensor:
    """Convert uint8 values to float32 values 0..1."""
    return images.to(torch.float32).div_(255)


def normalize(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Subtract the mean and divide by the standard deviation of each channel, in place."""
    shape = (1, -1, 1, 1)
    means, stds = (send(torch.tensor(v, dtype=images.dtype), images.device).view(shape) for v in (mean, std))
    return images.sub_(means).div_(stds)


def _lighting(images: Tensor, draws: Draws) -> Tensor:
    if not (draws.brightness.any() or (draws.contrast != 1).any()):
        return images
    shape = (-1, 1, 1, 1)
    brightness, contrast = (
        send(torch.from_numpy(values).to(images.dtype), images.device).view(shape)
        for values in (draws.brightness, draws.contrast)
    )
    logits = torch.logit(images, eps=_LOGIT_EPS)
    return logits.add_(brightness).mul_(contrast).sigmoid_()
