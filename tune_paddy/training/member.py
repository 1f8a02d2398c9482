"""Train one member: build, train with a checkpoint per epoch, predict; retry when out of memory."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback
from numpy.typing import NDArray
from torch import nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import DivergedError, InfeasibleError, InputError
from tune_paddy.core.memory import EVALUATION_FACTOR, batch_norm_warning
from tune_paddy.core.predictions import Predictions
from tune_paddy.core.views import PLAIN
from tune_paddy.data.image_cache.entry import CachedImages
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training.accumulation import MemberLearner, micro_batch
from tune_paddy.training.batches.balance import class_weights
from tune_paddy.training.batches.loaders import ImageReader, TrainLoader, subsample_rows
from tune_paddy.training.devices import Device, pick_device, use_threads
from tune_paddy.training.networks.compilation import compile_model, forget_compiled, is_compiler_failure
from tune_paddy.training.networks.model import build_model, has_batch_norm, lay_out, plan_body
from tune_paddy.training.oom import ThrashWatch, is_out_of_memory, release_memory
from tune_paddy.training.optimizer import optimizer_factory, phases, run_phase, split_parameters
from tune_paddy.training.overflow import mean_loss
from tune_paddy.training.saved.checkpoint import Checkpoint, load_latest, save_checkpoint
from tune_paddy.training.saved.checkpoint_files import remove_checkpoints
from tune_paddy.training.saved.member_files import save_member
from tune_paddy.training.scores import member_scores
from tune_paddy.training.stack import describe_stack
from tune_paddy.training.views import predict


@dataclass(frozen=True)
class EpochReport:
    """Metrics of one epoch.

    Attributes:
        epoch: Number of finished epochs over all phases, from 1.
        metrics: Name → value: losses on the select split, durations in seconds, learning rate.
    """

    epoch: int
    metrics: Mapping[str, float]


Report = Callable[[EpochReport], None]


@dataclass(frozen=True)
class Runtime:
    """Resources that a member trains with; none of them changes its predictions.

    Attributes:
        folder: Folder of this member alone: checkpoints during training, the weights file afterwards.
        cpus: Number of threads for decoding and for torch.
        allow_gpu: Whether a GPU may be used.
        accum: Initial number of micro-batches per step; a fixed `accum` of the member overrides it.
        max_accum: Largest `accum` to retry with after out of memory; None: a micro-batch of one image.
        memory_mib: Limit of torch's allocator on a GPU, in MiB; None: no limit.
        weights_dir: Folder of pretrained weights, or None.
        keep_weights: Whether to save the trained parameters.
        keep_checkpoints: Whether to keep the last checkpoints, for a caller that still has to record the
            result: if it dies first, only the predictions are repeated.
        cached: Image cache entries at this member's size, or None.
        metrics: Names of metrics to score besides the usual ones, see `member_scores`.
        alive: Callback for every batch of training and prediction.
        clock: Source of time in seconds, for durations.
    """

    folder: Path
    cpus: int = 1
    allow_gpu: bool = True
    accum: int = 1
    max_accum: int | None = None
    memory_mib: float | None = None
    weights_dir: Path | None = None
    keep_weights: bool = True
    keep_checkpoints: bool = False
    cached: CachedImages | None = None
    metrics: tuple[str, ...] = ()
    alive: Callable[[], None] = field(default=lambda: None)
    clock: Callable[[], float] = field(default=time.perf_counter)


@dataclass(frozen=True)
class MemberResult:
    """A trained member.

    Attributes:
        config: Configuration of the member.
        predictions: Predictions of the select split and the test set; plain view, and tta unless `tta` is 0.
        history: Metrics of each epoch, in order.
        metrics: Summary: scores of each view, seconds of training and prediction, images, parameters,
            peak memory in MiB.
        accum: Final number of micro-batches per step.
        ooms: Number of out-of-memory retries.
        notes: Warnings for the user, one sentence each.
        stack: Device and software versions, see `describe_stack`.
        others: Probabilities of `Parts.others`, one plain pass, float32 [images, classes], or None.
    """

    config: MemberConfig
    predictions: Predictions
    history: tuple[Mapping[str, float], ...]
    metrics: Mapping[str, float]
    accum: int
    ooms: int
    notes: tuple[str, ...] = ()
    stack: Mapping[str, str] = field(default_factory=dict)
    others: NDArray[np.float32] | None = None


def train_member(
    config: MemberConfig,
    parts: Parts,
    runtime: Runtime,
    *,
    report: Report = lambda report: None,
) -> MemberResult:
    """Train a member and predict with it; resume from its newest checkpoint if there is one.

    After an out-of-memory error, halve the micro-batch and resume from the last epoch's checkpoint.
    The optimizer's steps stay the same.

    Args:
        config: Configuration of the member; an integer `accum` overrides the runtime's.
        parts: Training images, select split and test set.
        runtime: Folder, threads and device.
        report: Callback after each epoch; an exception from it stops the training, which can be resumed.

    Raises:
        InputError: The architecture, size, precision or pretrained weights are unknown or unavailable.
        InfeasibleError: The member does not fit with a micro-batch of one image, or at the largest `accum`.
        DivergedError: Losses, parameters or predictions are not finite, see `overflow`.
    """
    runtime.folder.mkdir(parents=True, exist_ok=True)
    use_threads(runtime.cpus)
    accum = config.accum if isinstance(config.accum, int) else runtime.accum
    ooms = 0
    while True:
        try:
            result = _Attempt(config, parts, replace(runtime, accum=accum), report).run()
        except Exception as error:
            if config.compile and not is_out_of_memory(error) and is_compiler_failure(error):
                raise InputError(_not_compiled(config, error)) from error
            if not is_out_of_memory(error):
                raise
            if accum >= _most_accum(config, runtime):
                raise InfeasibleError(_too_large(config, accum, error)) from error
        else:
            return replace(result, accum=accum, ooms=ooms)
        finally:
            if config.compile:
                forget_compiled()
        release_memory()
        ooms += 1
        accum = min(2 * accum, _most_accum(config, runtime))


def _most_accum(config: MemberConfig, runtime: Runtime) -> int:
    """Return the largest `accum` that a retry after out of memory may use."""
    return min(runtime.max_accum or config.batch_size, config.batch_size)


def _not_compiled(config: MemberConfig, error: Exception) -> str:
    reason = next(line for line in str(error).splitlines() if line.strip())[:200]
    return f"{config.arch} cannot be compiled on this machine: {reason}; set compile: false"


def _too_large(config: MemberConfig, accum: int, error: Exception) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0][:200]
    images = micro_batch(config.batch_size, accum)
    at_once = "one image at a time" if images == 1 else f"{images} images at a time, the largest allowed"
    return (
        f"{config.arch} at {config.size[0]}x{config.size[1]} px does not fit even with accum {accum}, "
        f"{at_once}: {reason}"
    )


class _Attempt:
    """One attempt to train a member with a fixed micro-batch."""

    def __init__(self, config: MemberConfig, parts: Parts, runtime: Runtime, report: Report) -> None:
        self.config, self.parts, self.runtime, self.report = config, parts, runtime, report
        self.device: Device = pick_device(config.precision, allow_gpu=runtime.allow_gpu)
        plan = plan_body(config.arch, config.size, config.drop_path, config.large_view)
        self.stats = (plan.mean, plan.std)
        self.device.prefer_speed()
        self.device.limit_memory(runtime.memory_mib)
        self.device.reset_peak()
        self.history: list[dict[str, float]] = []

    def thrash_watch(self) -> ThrashWatch | None:
        """Return a watch if `accum` can still be raised; otherwise a slow member is better than none."""
        if self.runtime.accum >= _most_accum(self.config, self.runtime):
            return None
        return ThrashWatch(self.device.alloc_retries)

    def run(self) -> MemberResult:
        checkpoint = load_latest(self.runtime.folder)
        model = self._model(checkpoint)
        self._train(model, checkpoint)
        started = self.runtime.clock()
        views = {
            name: self._predict(model, part)
            for name, part in (("select", self.parts.select), ("test", self.parts.test))
        }
        seconds = self.runtime.clock() - started
        others = self.parts.others
        taught = None if others is None else self._predict(model, others, (PLAIN,))[PLAIN]
        predictions = Predictions(
            classes=self.parts.classes,
            split=self.parts.split,
            select_ids=self.parts.select.ids,
            select_labels=self.parts.select.labels,
            test_ids=self.parts.test.ids,
            select=views["select"],
            test=views["test"],
            task=self.parts.task,
        )
        if self.runtime.keep_weights:
            parts = self.parts
            save_member(
                self.runtime.folder,
                model,
                self.config,
                parts.classes,
                pixel_range=parts.pixel_range,
                task=parts.task,
            )
        if not self.runtime.keep_checkpoints:
            remove_checkpoints(self.runtime.folder)
        metrics = self._summary(model, predictions, seconds)
        return MemberResult(
            config=self.config,
            predictions=predictions,
            history=tuple(self.history),
            metrics=metrics,
            accum=self.runtime.accum,
            ooms=0,
            notes=self._notes(model),
            stack=describe_stack(self.device),
            others=taught,
        )

    def _notes(self, model: nn.Sequential) -> tuple[str, ...]:
        images = micro_batch(self.config.batch_size, self.runtime.accum)
        warning = batch_norm_warning(images, self.runtime.accum) if has_batch_norm(model[0]) else None
        return (warning,) if warning else ()

    def _model(self, checkpoint: Checkpoint | None) -> nn.Sequential:
        config = self.config
        torch.manual_seed(config.seed)
        model = build_model(
            config.arch,
            len(self.parts.classes),
            size=config.size,
            pretrained=config.pretrained if checkpoint is None else False,
            drop_path=config.drop_path,
            dropout=config.dropout,
            large_view=config.large_view,
            weights_dir=self.runtime.weights_dir,
        )
        if checkpoint is not None:
            model.load_state_dict(dict(checkpoint.model))
        lay_out(model, self.device.type).to(self.device.torch)
        if config.compile:
            compile_model(model, self.runtime.cpus)
        return model

    def _train(self, model: nn.Sequential, checkpoint: Checkpoint | None) -> None:
        done = 0 if checkpoint is None else checkpoint.epoch
        self.history = [] if checkpoint is None else list(checkpoint.history)
        learner = MemberLearner(
            self._loader(),
            model,
            self.config,
            n_classes=len(self.parts.classes),
            task=self.parts.task,
            device=self.device,
            accum=self.runtime.accum,
            stats=self.stats,
            class_weights=self._class_weights(),
            opt_func=optimizer_factory(self.config),
            splitter=split_parameters,
        )
        if checkpoint is not None and checkpoint.scaler:  # empty where the loss was not scaled
            learner.scaler.load_state_dict(dict(checkpoint.scaler))
        first = 0
        for phase in phases(self.config):
            if done < first + phase.epochs:
                watch = _EpochWatch(self, first, max(done - first, 0))
                with learner.added_cbs([watch]):
                    run_phase(
                        learner,
                        phase,
                        start_epoch=max(done - first, 0),
                        optimizer_state=checkpoint.restore_optimizer if checkpoint else None,
                    )
            first += phase.epochs

    def _rows(self) -> NDArray[np.int64]:
        return subsample_rows(self.parts.train.labels, self.config, self.parts.train.groups)

    def _class_weights(self) -> torch.Tensor | None:
        """Return the weights of the classes among the images that this member trains on."""
        labels = self.parts.train.labels[self._rows()]
        weights = class_weights(labels, self.config.class_weights, len(self.parts.classes))
        return None if weights is None else torch.from_numpy(weights)

    def _loader(self) -> TrainLoader:
        rows = self._rows()
        train = self.parts.train
        reader = self._reader([train.paths[row] for row in rows])
        targets = train.targets[rows] if len(train.targets) else None
        return TrainLoader(reader, train.labels[rows], self.config, targets)

    def _reader(self, paths: list[str]) -> ImageReader:
        runtime, config = self.runtime, self.config
        return ImageReader(
            paths,
            config.item_size,
            config.resize,
            runtime.cpus,
            runtime.cached,
            pixel_range=self.parts.pixel_range,
        )

    def _predict(
        self, model: nn.Module, part: Part, kinds: Collection[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        views = predict(
            model,
            self._reader(list(part.paths)),
            self.config,
            device=self.device,
            batch_size=EVALUATION_FACTOR * micro_batch(self.config.batch_size, self.runtime.accum),
            stats=self.stats,
            n_classes=len(self.parts.classes),
            task=self.parts.task,
            kinds=kinds,
            alive=self.runtime.alive,
        )
        if not all(np.isfinite(probs).all() for probs in views.values()):
            raise DivergedError(f"{self.config.arch} predicts values that are not finite numbers")
        return views

    def after_epoch(self, learner: Any, epoch: int, loss: float, seconds: float) -> None:
        """Evaluate an epoch, save its checkpoint, then report it."""
        started = self.runtime.clock()
        probs = self._predict(learner.model, self.parts.select, (PLAIN,))[PLAIN]
        metrics = {
            "train_loss": loss,
            **member_scores(probs, self.parts.select.labels, self.runtime.metrics),
            "lr": float(learner.opt.hypers[-1]["lr"]),
            "train_seconds": seconds,
            "eval_seconds": self.runtime.clock() - started,
        }
        self.history.append(metrics)
        save_checkpoint(
            self.runtime.folder,
            epoch=epoch,
            model=learner.model,
            optimizer=learner.opt.opt,
            scaler=learner.scaler,
            history=self.history,
        )
        self.report(EpochReport(epoch, metrics))

    def _summary(self, model: nn.Module, predictions: Predictions, seconds: float) -> dict[str, float]:
        n_images = len(predictions.select_ids) + len(predictions.test_ids)
        scores = {
            f"{view}/{name}": value
            for view, probs in predictions.select.items()
            for name, value in member_scores(probs, predictions.select_labels, self.runtime.metrics).items()
        }
        return {
            **scores,
            "train_seconds_total": sum(e["train_seconds"] + e["eval_seconds"] for e in self.history),
            "predict_seconds": seconds,
            "predict_ms_per_image": 1000 * seconds / n_images,
            "train_images": float(len(self._rows())),
            "parameters_m": sum(parameter.numel() for parameter in model.parameters()) / 1e6,
            "peak_mib": self.device.peak_mib(),
        }


class _EpochWatch(Callback):
    """Seed each epoch's random streams, collect its losses, and pass the finished epoch to the attempt."""

    def __init__(self, attempt: _Attempt, first: int, skip: int) -> None:
        self.attempt, self.first, self.skip = attempt, first, skip

    def __call__(self, event_name: str) -> None:
        """Run this callback's method for an event.

        Errors propagate unchanged. fastai's own `__call__` rewrites their messages and fails on errors
        without one, such as a MemoryError.
        """
        action = getattr(type(self), event_name, None)
        if action is not None:
            action(self)

    def before_train(self) -> None:
        epoch = self.first + self.learn.epoch
        # Dropout and stochastic depth use torch's global generator. Seeding it for each epoch makes a
        # resumed member equal to an uninterrupted one without storing any random state.
        torch.manual_seed(self.attempt.config.seed * 100_003 + epoch)
        self.learn.dls.train.epoch = epoch
        self.losses: list[torch.Tensor] = []
        self.thrash = self.attempt.thrash_watch()
        self.started = self.attempt.runtime.clock()

    def after_batch(self) -> None:
        self.attempt.runtime.alive()
        self.losses.append(self.learn.loss)
        if self.thrash is not None:
            self.thrash.step()

    def after_epoch(self) -> None:
        if self.learn.epoch < self.skip:
            return  # fastai fires this event for skipped epochs too
        epoch = self.first + self.learn.epoch + 1
        loss = mean_loss(self.losses, self.learn.model, self.learn.scaler, epoch)
        self.attempt.device.synchronize()
        seconds = self.attempt.runtime.clock() - self.started
        self.attempt.after_epoch(self.learn, epoch, loss, seconds)
