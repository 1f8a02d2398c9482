"""Time a member's steps with the code and the images that it would train with."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from fastai.callback.core import Callback, CancelFitException
from torch import nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import EVALUATION_FACTOR
from tune_paddy.core.timing.cost import StepCost
from tune_paddy.core.views import PLAIN, TTA
from tune_paddy.data.resizing import CENTRE, Pixels, place
from tune_paddy.training.accumulation import MemberLearner, micro_batch
from tune_paddy.training.batches.decoding import load_scaled
from tune_paddy.training.batches.loaders import ImageReader, TrainLoader
from tune_paddy.training.devices import Device, pick_device, use_threads
from tune_paddy.training.frozen.logistic import EVALUATIONS, evaluation_seconds
from tune_paddy.training.networks.heads import LinearHead
from tune_paddy.training.networks.members import member_network, member_plan
from tune_paddy.training.networks.model import lay_out
from tune_paddy.training.optimizer import Phase, optimizer_factory, phases, run_phase, splitter
from tune_paddy.training.views import predict

REPETITIONS = 3
"""Timed steps of each kind, after one that warms up."""

_PASSES = 40
"""Forward passes that all timed steps cost for each image of a batch: three for a training step."""

Clock = Callable[[], float]


class HeldImages(ImageReader):
    """Images that stay decoded in memory, as in the image cache after the first epoch.

    Args:
        paths: Paths of the image files; a path may occur more than once.
        config: Configuration of the member: item size and resizing.
        threads: Number of threads that copy images.
        clock: Source of time in seconds.

    Attributes:
        decode: Time to read and resize one image from its file on one thread, in s.
    """

    def __init__(self, paths: Sequence[str], config: MemberConfig, threads: int, clock: Clock) -> None:
        super().__init__(paths, config.item_size, config.resize, threads)
        started, files = clock(), dict.fromkeys(paths)
        self._held = {path: load_scaled(path, config.item_size, config.resize) for path in files}
        self.decode = (clock() - started) / len(files)
        self._item_size = config.item_size

    def read(self, row: int, offset: tuple[float, float] = CENTRE) -> Pixels:
        """Return one image, uint8 [3, H, W]; `offset` (y, x), 0 to 1, places a crop."""
        return place(self._held[self.paths[row]], self._item_size, offset)


def time_member(
    config: MemberConfig,
    paths: Sequence[str],
    *,
    n_classes: int,
    cpus: int = 1,
    allow_gpu: bool = True,
    accum: int = 1,
    limit: float = float("inf"),
    clock: Clock = time.perf_counter,
) -> tuple[StepCost, float]:
    """Time the steps of a member with randomly initialized parameters; nothing is written.

    Args:
        config: Configuration of the member.
        paths: Image files of the dataset, at least one; repeated to fill the batches.
        n_classes: Number of classes.
        cpus: Number of threads, as of a trial.
        allow_gpu: Whether a GPU may be used.
        accum: Number of micro-batches per step; a fixed `accum` of the member overrides it.
        limit: Longest time of the steps in s, as far as smaller batches can meet it.
        clock: Source of time in seconds.

    Returns:
        The cost of its steps, and the time to read one image from its file, in s.

    Raises:
        InputError: Unknown arch, or a size that it does not accept.
    """
    use_threads(cpus)
    device = pick_device(config.precision, allow_gpu=allow_gpu)
    device.prefer_speed()
    accum = config.accum if isinstance(config.accum, int) else accum
    started = clock()
    body = member_plan(config)
    model = member_network(config, n_classes)
    lay_out(model, device.type).to(device.torch)
    build = clock() - started
    most = limit / (_PASSES * _image_seconds(model, device, config.size, clock))
    if most < config.batch_size:  # two images at least: batch norm needs them
        fewer = min(config.batch_size, max(2, int(most)))
        config, accum = config.model_copy(update={"batch_size": fewer, "accum": 1}), 1
    rows = np.resize(np.arange(len(paths)), config.batch_size * (REPETITIONS + 1))
    images = HeldImages([paths[int(row)] for row in rows], config, cpus, clock)
    steps = _Steps(config, images, model, device, (body.mean, body.std), accum, n_classes, clock)
    plain = steps.predict(passes=0)
    train, frozen = (plain, 0.0) if config.frozen else steps.both_phases()
    fit = steps.fit() if config.frozen or config.begins_fitted else 0.0
    tta_pass = max(steps.predict(passes=1) - plain, 0.0) if config.tta else 0.0
    return StepCost(train, frozen, plain, tta_pass, build, fit), images.decode


def _image_seconds(model: nn.Module, device: Device, size: tuple[int, int], clock: Clock) -> float:
    """Return the time of a forward pass of one image in s, after one that warms up."""
    image = torch.zeros(1, 3, *size, device=device.torch)
    model.eval()
    with torch.inference_mode(), device.autocast():
        model(image)
        device.synchronize()
        started = clock()
        model(image)
        device.synchronize()
    return max(clock() - started, 1e-9)


@dataclass(frozen=True)
class _Steps:
    """The steps of one network, timed in seconds per image."""

    config: MemberConfig
    images: HeldImages
    model: nn.Sequential
    device: Device
    stats: tuple[tuple[float, ...], tuple[float, ...]]
    accum: int
    n_classes: int
    clock: Clock

    def both_phases(self) -> tuple[float, float]:
        """Return the times of a step of the whole network and of a frozen one, in s/image."""
        tuned = phases(self.config)[-1]
        train = self.train(tuned)
        return train, self.train(replace(tuned, frozen=True)) if len(phases(self.config)) > 1 else train

    def fit(self) -> float:
        """Return the time to fit a head to features, in s per image and symmetry."""
        layer = cast("LinearHead", self.model[1]).linear
        return EVALUATIONS * evaluation_seconds(layer.in_features, layer.out_features, self.clock)

    def train(self, phase: Phase) -> float:
        """Return the median time of a training step, in s/image."""
        labels = np.arange(len(self.images), dtype=np.int64) % self.n_classes
        learner = MemberLearner(
            TrainLoader(self.images, labels, self.config),
            self.model,
            self.config,
            n_classes=self.n_classes,
            device=self.device,
            accum=self.accum,
            stats=self.stats,
            opt_func=optimizer_factory(self.config),
            splitter=splitter(self.config),
        )
        watch = _StepWatch(self.device, self.clock)
        with learner.added_cbs([watch]):
            run_phase(learner, replace(phase, epochs=1), start_epoch=0)
        return float(np.median(np.diff(watch.ends))) / self.config.batch_size

    def predict(self, passes: int) -> float:
        """Return the time of a prediction with `passes` augmented passes, in s/image."""
        config = self.config.model_copy(update={"tta": passes})
        batch = EVALUATION_FACTOR * micro_batch(self.config.batch_size, self.accum)
        started: list[float] = []
        predict(
            self.model,
            self.images,
            config,
            device=self.device,
            batch_size=min(batch, len(self.images) // 2),
            stats=self.stats,
            n_classes=self.n_classes,
            kinds=(PLAIN, TTA) if passes else (PLAIN,),
            alive=lambda: started.append(self._now()),
        )
        warm, done = min(batch, len(self.images) // 2), self._now()
        return (done - started[1]) / (len(self.images) - warm)

    def _now(self) -> float:
        self.device.synchronize()
        return self.clock()


class _StepWatch(Callback):
    """Notes when each step ends, and ends the training after the last one to time."""

    def __init__(self, device: Device, clock: Clock) -> None:
        self.device, self.clock = device, clock
        self.ends: list[float] = []

    def after_batch(self) -> Any:
        """Note the end of a step."""
        self.device.synchronize()
        self.ends.append(self.clock())
        if len(self.ends) > REPETITIONS:
            raise CancelFitException
