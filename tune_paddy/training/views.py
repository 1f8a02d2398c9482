"""Predict the views of a member from one decoding of each image."""

from collections.abc import Callable, Collection
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import large_at_a_time
from tune_paddy.core.tasks.task import Task
from tune_paddy.core.views import EMA, FLIPS, LARGE, PLAIN, TTA, WITH_PLAIN, ZOOM, view_work
from tune_paddy.training.batches.augment import augment, centre, draw, normalize, shrink
from tune_paddy.training.batches.loaders import ImageReader
from tune_paddy.training.devices import Device, send
from tune_paddy.training.networks.members import member_plan
from tune_paddy.training.objective import Objective, objective_of

BETA = 0.25
"""Weight of the plain prediction in the tta view, as in fastai's `Learner.tta`."""

_TTA = 3  # identifies the random stream, see loaders

Infer = Callable[[Tensor], Tensor]
"""Function from floats 0..1 [n, 3, h, w], which it changes, to probabilities [n, classes]."""


def predict(
    model: nn.Module,
    reader: ImageReader,
    config: MemberConfig,
    *,
    device: Device,
    batch_size: int,
    stats: tuple[tuple[float, ...], tuple[float, ...]],
    n_classes: int,
    kinds: Collection[str] | None = None,
    task: Task | None = None,
    alive: Callable[[], None] = lambda: None,
) -> dict[str, NDArray[np.float32]]:
    """Predict all images of a reader, in its order.

    The tta view is fastai's: the mean over `config.tta` augmented passes, moved by a quarter towards the
    plain prediction. A pass has the warp and the lighting of training, and none of its other augmentation.
    Each pass applies one augmentation, drawn from the member's seed, to every image. The prediction of an
    image thus depends on neither the batch size, its position, nor the other images: a served image gets the
    prediction that selection evaluated. The other views are described in `core.views`.

    Args:
        model: Network, on the device.
        reader: Images at the member's item size.
        config: Configuration of the member.
        device: Device and precision.
        batch_size: Images per batch.
        stats: Mean and standard deviation of each colour channel (values 0..1).
        n_classes: Number of classes.
        kinds: Views to compute, of those that the member has; None: all of them. The ema view is not among
            them: it is the plain view of another network.
        task: What the labels are; None: one class an image.
        alive: Callback for every batch.

    Returns:
        View name → float32 [images, classes], probabilities of the task.
    """
    wanted = own_views(config, kinds)
    # Results stay on the device until the end: reading each batch would wait for it.
    empty = torch.empty((0, n_classes), device=device.torch)
    views = {kind: [empty] for kind in wanted}
    readings = _Readings(config, _inference(model, device, stats, objective_of(task, config.loss)))
    model.eval()
    with torch.inference_mode():
        for _, images in reader.in_order(batch_size):
            alive()
            for kind, probs in readings.of(send(images, device.torch), wanted).items():
                views[kind].append(probs)
    return {view: torch.cat(parts).cpu().numpy() for view, parts in views.items()}


def own_views(config: MemberConfig, kinds: Collection[str] | None = None) -> list[str]:
    """Return the views that a member's own network predicts, in the order of tables.

    Args:
        config: Configuration of the member.
        kinds: Views to choose from; None: all of them.
    """
    own = [kind for kind in view_work(vars(config)) if kind != EMA]
    return [kind for kind in own if kinds is None or kind in kinds]


class _Readings:
    """Computes views of a batch; the plain prediction is shared by those that contain it."""

    def __init__(self, config: MemberConfig, infer: Infer) -> None:
        self.size, self.infer = config.size, infer
        self.symmetries = config.symmetries
        self.passes = draw(config, config.tta, np.random.default_rng([config.seed, _TTA]))
        self.zoom = config.zoom_view
        plan = member_plan(config)
        self.large = plan.large or config.size

    def of(self, images: Tensor, kinds: Collection[str]) -> dict[str, Tensor]:
        """Return view → float32 [n, classes] for uint8 images [n, 3, H, W]."""
        small = shrink(images, self.size)
        plain = self.infer(centre(small, self.size)) if WITH_PLAIN.intersection(kinds) else images
        compute = {
            PLAIN: lambda: plain,
            TTA: lambda: self._tta(small, plain),
            FLIPS: lambda: self._flips(small, plain),
            LARGE: lambda: self._large(images),
            ZOOM: lambda: self.infer(centre(central(images, self.zoom), self.size)),
        }
        return {kind: compute[kind]() for kind in kinds}

    def _tta(self, small: Tensor, plain: Tensor) -> Tensor:
        alike = [self.passes[np.full(len(small), number)] for number in range(len(self.passes))]
        augmented = [self.infer(augment(small, draws, self.size)) for draws in alike]
        return torch.stack(augmented).mean(0).lerp(plain, BETA)

    def _flips(self, small: Tensor, plain: Tensor) -> Tensor:
        images = centre(small, self.size)
        others = [self.infer(flipped(images, code)) for code in range(1, self.symmetries)]
        return torch.stack([plain, *others]).mean(0)

    def _large(self, images: Tensor) -> Tensor:
        """Predict at the larger size, in smaller batches that have no more pixels, unless one image has."""
        at_a_time = large_at_a_time(len(images), prod(self.size), prod(self.large))
        return torch.cat([self.infer(centre(part, self.large)) for part in images.split(at_a_time)])


def flipped(images: Tensor, code: int) -> Tensor:
    """Return a copy of images [n, c, h, w] in one of their symmetries.

    Args:
        images: Values of any type.
        code: 0 to 7, as in `Draws.dihedral`: bit 0 mirrors left and right, bit 1 top and bottom, bit 2 swaps
            the axes. Images that are not square are then stretched to their old size, as in augmentation.
    """
    turned = images.transpose(2, 3) if code & 4 else images
    if turned.shape != images.shape:
        turned = nn.functional.interpolate(turned, images.shape[2:], mode="bilinear", align_corners=False)
    return turned.flip([axis for bit, axis in ((1, 3), (2, 2)) if code & bit])  # a copy, even without an axis


def central(images: Tensor, share: float) -> Tensor:
    """Return the central part of images [n, c, h, w]: `share` of each side, at least one pixel."""
    height, width = (max(1, round(side * share)) for side in images.shape[2:])
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]


def _inference(
    model: nn.Module,
    device: Device,
    stats: tuple[tuple[float, ...], tuple[float, ...]],
    objective: Objective,
) -> Infer:
    def infer(images: Tensor) -> Tensor:
        with device.autocast():
            logits = model(normalize(images, *stats))
        return objective.probabilities(logits.float())

    return infer
