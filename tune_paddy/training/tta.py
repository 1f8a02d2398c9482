"""Predict the plain and the test-time augmentation view from one decoding of each image."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.predictions import PLAIN, TTA
from tune_paddy.core.tasks.task import Task
from tune_paddy.training.batches.augment import augment, centre, draw, normalize, shrink
from tune_paddy.training.batches.loaders import ImageReader
from tune_paddy.training.devices import Device, send
from tune_paddy.training.objective import Objective, objective_of

BETA = 0.25
"""Weight of the plain prediction in the tta view, as in fastai's `Learner.tta`."""

_TTA = 3  # identifies the random stream, see loaders


def predict(
    model: nn.Module,
    reader: ImageReader,
    config: MemberConfig,
    *,
    device: Device,
    batch_size: int,
    stats: tuple[tuple[float, ...], tuple[float, ...]],
    n_classes: int,
    with_tta: bool,
    task: Task | None = None,
    alive: Callable[[], None] = lambda: None,
) -> dict[str, NDArray[np.float32]]:
    """Predict all images of a reader, in its order.

    The tta view is fastai's: the mean over `config.tta` augmented passes, moved by a quarter towards the
    plain prediction. A pass has the warp and the lighting of training, and none of its other augmentation.
    Each pass applies one augmentation, drawn from the member's seed, to every image. The prediction of an
    image thus depends on neither the batch size, its position, nor the other images: a served image gets the
    prediction that selection evaluated.

    Args:
        model: Network, on the device.
        reader: Images at the member's item size.
        config: Configuration of the member.
        device: Device and precision.
        batch_size: Images per batch.
        stats: Mean and standard deviation of each colour channel (values 0..1).
        n_classes: Number of classes.
        task: What the labels are; None: one class an image.
        with_tta: Whether to compute the tta view as well.
        alive: Callback for every batch.

    Returns:
        View name → float32 [images, classes], probabilities of the task.
    """
    n_passes = config.tta if with_tta else 0
    passes = draw(config, n_passes, np.random.default_rng([config.seed, _TTA]))
    # Results stay on the device until the end: reading each batch would wait for it.
    empty = torch.empty((0, n_classes), device=device.torch)
    views = {PLAIN: [empty], **({TTA: [empty]} if n_passes else {})}
    infer = _inference(model, device, stats, objective_of(task, config.loss))
    model.eval()
    with torch.inference_mode():
        for _, images in reader.in_order(batch_size):
            alive()
            small = shrink(send(images, device.torch), config.size)
            plain = infer(centre(small, config.size))
            views[PLAIN].append(plain)
            if n_passes:
                alike = [passes[np.full(len(images), number)] for number in range(n_passes)]
                augmented = [infer(augment(small, draws, config.size)) for draws in alike]
                mixed = torch.stack(augmented).mean(0).lerp(plain, BETA)
                views[TTA].append(mixed)
    return {view: torch.cat(parts).cpu().numpy() for view, parts in views.items()}


def _inference(
    model: nn.Module,
    device: Device,
    stats: tuple[tuple[float, ...], tuple[float, ...]],
    objective: Objective,
) -> Callable[[Tensor], Tensor]:
    def infer(images: Tensor) -> Tensor:
        with device.autocast():
            logits = model(normalize(images, *stats))
        return objective.probabilities(logits.float())

    return infer
