"""Gradient accumulation with one optimizer step per batch, for any number of micro-batches.

fastai's GradientAccumulation counts images over several loader batches, so its schedule, its
augmentation and an epoch's last step depend on the micro-batch. Here the loader yields whole batches and
the step splits them. The optimizer sees the same images, the same augmentation and mixing, the same
learning rate and the same mean loss with any `accum`. Only dropout draws differently, and batch norm sees
fewer images.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from fastai.callback.core import CancelBatchException, TrainEvalCallback
from fastai.learner import Learner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.tasks.task import Task
from tune_paddy.training.batches.augment import augment, normalize
from tune_paddy.training.batches.erasing import erase
from tune_paddy.training.batches.loaders import Batch
from tune_paddy.training.batches.mixing import mix_batch
from tune_paddy.training.devices import Device, send
from tune_paddy.training.epochs.overflow import NormStatistics
from tune_paddy.training.networks.plan import IMAGENET_MEAN, IMAGENET_STD
from tune_paddy.training.objective import objective_of

Stats = tuple[tuple[float, ...], tuple[float, ...]]


def micro_slices(n: int, accum: int) -> list[slice]:
    """Split `n` images into at most `accum` runs whose lengths differ by at most one.

    >>> micro_slices(5, 2)
    [slice(0, 3, None), slice(3, 5, None)]
    """
    parts = min(accum, n)
    bounds = [-(-part * n // parts) for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(bounds)]


def micro_batch(batch_size: int, accum: int) -> int:
    """Return the number of images in the largest micro-batch."""
    return -(-batch_size // accum)


class MemberLearner(Learner):
    """A fastai Learner whose step splits its batch into micro-batches, on any device and precision.

    The learner does not validate: the caller needs probabilities, not a metric's average.

    Args:
        train: Iterable of `Batch` with a length.
        model: Network, on its device.
        config: Configuration of the member.
        n_classes: Width of the network's output.
        task: What the labels are; it decides the loss.
        device: Device and precision of training.
        accum: Number of micro-batches per step.
        stats: Mean and standard deviation of each colour channel (values 0..1).
        class_weights: Weights of the classes in the loss, float32 [classes]; None: equal weights.
        **kwargs: Arguments of fastai's Learner: opt_func, splitter, cbs.
    """

    def __init__(
        self,
        train: Any,
        model: nn.Module,
        config: MemberConfig,
        *,
        n_classes: int,
        device: Device,
        task: Task | None = None,
        accum: int = 1,
        stats: Stats = (IMAGENET_MEAN, IMAGENET_STD),
        class_weights: Tensor | None = None,
        **kwargs: Any,
    ) -> None:
        self.config = config
        self.n_classes = n_classes
        weights = None if class_weights is None else class_weights.to(device.torch)
        self.objective = objective_of(task, config.loss, weights)
        self.device = device
        self.accum = accum
        self.stats = stats
        self.scaler = device.grad_scaler()
        self.statistics = NormStatistics(model) if device.precision == "fp16" else None
        cbs = [TrainEvalCallback(), *kwargs.pop("cbs", [])]
        super().__init__(
            _Loaders(train, device.torch),
            model,
            loss_func=self.objective.loss,
            cbs=cbs,
            default_cbs=False,
            **kwargs,
        )

    def one_batch(self, i: int, b: Batch) -> None:
        """Run one optimizer step between fastai's batch events."""
        self.iter, self.batch = i, b
        self._with_events(self._do_one_batch, "batch", CancelBatchException)

    def _do_one_batch(self) -> None:
        images, targets = self._prepare(self.batch)
        n = len(images)
        total = torch.zeros((), device=images.device)
        if self.statistics is not None:
            self.statistics.keep()
        for part in micro_slices(n, self.accum):
            with self.device.autocast(), lone_image_norm(self.model, part.stop - part.start):
                loss = self._loss(self.model(images[part]), targets[part]) / n
            self.scaler.scale(loss).backward()
            total += loss.detach()
        if self.statistics is not None:
            self.statistics.mend()
        self.loss = total
        self._do_grad_opt()

    def _backward(self) -> None:
        """Do nothing: the micro-batches have already accumulated their gradients."""

    def _step(self) -> None:
        if self.config.clip_grad > 0:
            self.scaler.unscale_(self.opt.opt)
            # An overflow makes every gradient NaN here; the loss scaler has seen it, and skips the step.
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_grad)
        self.scaler.step(self.opt.opt)
        self.scaler.update()

    def _do_epoch_validate(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing: see the class."""

    def _prepare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Augment and erase a whole batch, one micro-batch at a time, then mix it."""
        images, targets = (send(tensor, self.device.torch) for tensor in (batch.images, batch.labels))
        parts = micro_slices(len(images), self.accum)
        ready = torch.cat([self._augmented(images[part], batch, part) for part in parts])
        if batch.mix is None:
            return ready, targets
        return mix_batch(ready, self.objective.shares(targets, self.n_classes, ready.dtype), batch.mix)

    def _augmented(self, images: Tensor, batch: Batch, part: slice) -> Tensor:
        """Augment, normalise and erase the images of a micro-batch."""
        operations = None if batch.operations is None else batch.operations[part]
        ready = normalize(augment(images, batch.draws[part], self.config.size, operations), *self.stats)
        return ready if batch.boxes is None else erase(ready, batch.boxes[part])

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self.objective.loss(logits.float(), targets, self.config.label_smoothing)


class _Loaders:
    """The attributes that fastai's Learner reads from its data: a training loader and a device."""

    def __init__(self, train: Any, device: torch.device) -> None:
        self.train = train
        self.device = device


@contextmanager
def lone_image_norm(model: nn.Module, n: int) -> Iterator[None]:
    """Let batch norms use their running statistics for a micro-batch of one image.

    torch refuses to normalise a single value per channel, which the head's norms would get.
    """
    lone = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training] if n == 1 else []
    for norm in lone:
        norm.eval()
    try:
        yield
    finally:
        for norm in lone:
            norm.train()
