"""One attempt to train a member: build, train with a checkpoint per epoch, predict."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import DivergedError
from tune_paddy.core.memory import EVALUATION_FACTOR, batch_norm_warning
from tune_paddy.core.predictions import Predictions
from tune_paddy.core.views import EMA, PLAIN
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training.accumulation import MemberLearner, micro_batch
from tune_paddy.training.batches.balance import class_weights
from tune_paddy.training.batches.loaders import ImageReader, TrainLoader, subsample_rows
from tune_paddy.training.devices import Device, pick_device
from tune_paddy.training.epochs.watch import EpochWatch
from tune_paddy.training.frozen.embedding import Embedder
from tune_paddy.training.frozen.fitting import fit_head
from tune_paddy.training.frozen.logistic import Head
from tune_paddy.training.keeping.average import Average
from tune_paddy.training.keeping.best_epoch import CHOSEN_NOTE, best_epoch, ends_early, spared_epochs
from tune_paddy.training.networks.compilation import compile_model
from tune_paddy.training.networks.members import member_network, member_plan
from tune_paddy.training.networks.model import has_batch_norm, lay_out
from tune_paddy.training.oom import ThrashWatch
from tune_paddy.training.optimizer import optimizer_factory, phases, run_phase, splitter
from tune_paddy.training.results import EpochReport, MemberResult, Report
from tune_paddy.training.runtime import Runtime
from tune_paddy.training.saved.checkpoint import Checkpoint, load_epoch, load_latest, save_checkpoint
from tune_paddy.training.saved.checkpoint_files import remove_checkpoints
from tune_paddy.training.saved.member_files import save_member
from tune_paddy.training.scores import member_scores
from tune_paddy.training.stack import describe_stack
from tune_paddy.training.views import own_views, predict

_SAMPLE = 32
"""Number of images by which the prediction of a frozen member is timed."""


def most_accum(config: MemberConfig, runtime: Runtime) -> int:
    """Return the largest `accum` that a retry after out of memory may use."""
    return min(runtime.max_accum or config.batch_size, config.batch_size)


class Attempt:
    """One attempt to train a member with a fixed micro-batch."""

    def __init__(self, config: MemberConfig, parts: Parts, runtime: Runtime, report: Report) -> None:
        self.config, self.parts, self.runtime, self.report = config, parts, runtime, report
        self.device: Device = pick_device(config.precision, allow_gpu=runtime.allow_gpu)
        plan = member_plan(config)
        self.stats = (plan.mean, plan.std)
        self.device.prefer_speed()
        self.device.limit_memory(runtime.memory_mib)
        self.device.reset_peak()
        self.history: list[dict[str, float]] = []
        self.average: Average | None = None
        self.embedder: Embedder | None = None
        self.facts: dict[str, float] = {}
        self.fit_seconds = 0.0
        # A refit, whose select split is trained on, has nothing to choose an epoch by.
        self.keeps_best = config.keep == "best" and not parts.seen

    def thrash_watch(self) -> ThrashWatch | None:
        """Return a watch if `accum` can still be raised; otherwise a slow member is better than none."""
        if self.runtime.accum >= most_accum(self.config, self.runtime):
            return None
        return ThrashWatch(self.device.alloc_retries)

    def run(self) -> MemberResult:
        """Train from the newest checkpoint, predict, and save the member."""
        checkpoint = load_latest(self.runtime.folder)
        model = self._model(checkpoint)
        self.average = self._begin_average(model, checkpoint)
        self._train(model, checkpoint)
        notes = (*self._notes(model), *self._return_to_best(model))
        started = self.runtime.clock()
        parts = {"select": self.parts.select, "test": self.parts.test}
        views = {name: self._predict(model, part) | self._averaged(part) for name, part in parts.items()}
        seconds = self.runtime.clock() - started
        others = self._predict_others(model)
        self.facts["predict_seconds"] = self.runtime.clock() - started
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
            save_member(
                self.runtime.folder,
                model,
                self.config,
                self.parts.classes,
                pixel_range=self.parts.pixel_range,
                task=self.parts.task,
                ema=None if self.average is None else self.average.model,
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
            notes=notes,
            stack=describe_stack(self.device),
            others=others,
        )

    def _notes(self, model: nn.Sequential) -> tuple[str, ...]:
        images = micro_batch(self.config.batch_size, self.runtime.accum)
        trained_norms = has_batch_norm(model[0]) and not self.config.frozen
        warning = batch_norm_warning(images, self.runtime.accum) if trained_norms else None
        return (warning,) if warning else ()

    def _return_to_best(self, model: nn.Sequential) -> tuple[str, ...]:
        """Load the best epoch's parameters if they are to predict; return notes for the user."""
        if not self.keeps_best:
            return ()
        best = best_epoch(self.history)
        self.facts["best_epoch"] = float(best)
        if best < len(self.history):
            checkpoint = load_epoch(self.runtime.folder, best)
            if checkpoint is None:
                self.facts["best_epoch"] = float(len(self.history))
                return (f"the checkpoint of the best epoch, {best}, is damaged: the last epoch predicts",)
            model.load_state_dict(dict(checkpoint.model))
            if self.average is not None and checkpoint.averaged is not None:
                self.average.load(checkpoint.averaged.state)
        return (CHOSEN_NOTE,)

    def ends_early(self) -> bool:
        """Return whether the training ends before its last epoch."""
        config = self.config
        return self.keeps_best and ends_early(
            self.history, patience=config.patience, frozen=config.total_epochs - config.epochs
        )

    def _begin_average(self, model: nn.Sequential, checkpoint: Checkpoint | None) -> Average | None:
        if self.config.ema == 0:
            return None
        return Average(model, self.config.ema, None if checkpoint is None else checkpoint.averaged)

    def _averaged(self, part: Part) -> dict[str, NDArray[np.float32]]:
        """Return the ema view of a part; empty without an average."""
        if self.average is None:
            return {}
        return {EMA: self._predict(self.average.model, part, (PLAIN,))[PLAIN]}

    def _model(self, checkpoint: Checkpoint | None) -> nn.Sequential:
        config = self.config
        torch.manual_seed(config.seed)
        model = member_network(
            config,
            len(self.parts.classes),
            pretrained=config.pretrained if checkpoint is None else False,
            weights_dir=self.runtime.weights_dir,
        )
        if checkpoint is not None:
            model.load_state_dict(dict(checkpoint.model))
        lay_out(model, self.device.type).to(self.device.torch)
        if config.compile:
            compile_model(model, self.runtime.cpus)
        return model

    def _train(self, model: nn.Sequential, checkpoint: Checkpoint | None) -> None:
        if self.config.frozen:
            self._fit(model)
            return
        if self.config.begins_fitted and checkpoint is None:
            started = self.runtime.clock()
            _, computed = self._fit_head(self._embedder(model), symmetries=1)
            # Apart from `embedded_images`: one that found them in the cache tells its pace all the same.
            self.facts["head_embedded_images"] = float(computed)
            self.fit_seconds = self.runtime.clock() - started
        done = 0 if checkpoint is None else checkpoint.epoch
        self.history = [] if checkpoint is None else list(checkpoint.history)
        if checkpoint is not None:
            self.runtime.resumes(EpochReport(done, self.history[-1]))
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
            splitter=splitter(self.config),
        )
        if checkpoint is not None and checkpoint.scaler:  # empty where the loss was not scaled
            learner.scaler.load_state_dict(dict(checkpoint.scaler))
        first = 0
        for phase in phases(self.config):
            if done < first + phase.epochs and not self.ends_early():
                watch = EpochWatch(self, first, max(done - first, 0))
                with learner.added_cbs([watch]):
                    run_phase(
                        learner,
                        phase,
                        start_epoch=max(done - first, 0),
                        optimizer_state=checkpoint.restore_optimizer if checkpoint else None,
                    )
            first += phase.epochs

    def _fit(self, model: nn.Sequential) -> None:
        """Fit the head of a frozen member; cached features take the place of checkpoints."""
        started = self.runtime.clock()
        self.embedder = self._embedder(model)
        fitted, computed = self._fit_head(self.embedder)
        self.facts["embedded_images"] = float(computed)
        known = {"train_loss": fitted.loss, "penalty": fitted.penalty}
        if math.isfinite(fitted.inner_loss):
            known["inner_log_loss"] = fitted.inner_loss
        self._evaluate(model, known, self.runtime.clock() - started)
        self.report(EpochReport(1, self.history[-1]))

    def _fit_head(self, embedder: Embedder, symmetries: int | None = None) -> tuple[Head, int]:
        """Fit the head of the embedder's network to the member's training images, see `fit_head`."""
        parts, rows = self.parts, self._rows()
        return fit_head(
            embedder,
            [parts.train.paths[row] for row in rows],
            parts.train.labels[rows],
            parts.train.groups[rows] if len(parts.train.groups) else parts.train.groups,
            n_classes=len(parts.classes),
            task=parts.task,
            targets=self._targets(rows),
            symmetries=symmetries,
        )

    def _embedder(self, model: nn.Sequential) -> Embedder:
        parts = self.parts
        return Embedder(
            model,
            self.config,
            self.device,
            self.stats,
            self._evaluation_batch(),
            self._reader,
            pixel_range=parts.pixel_range,
            # A random body has no features that another member could use.
            cache=None if self.config.pretrained is False else self.runtime.embeddings,
            sums={} if parts.images is None else parts.images.sums_by_path,
            alive=self.runtime.alive,
        )

    def _predict_others(self, model: nn.Sequential) -> NDArray[np.float32] | None:
        """Return one plain pass over the labelled images of the other folds, for students; or None."""
        others = self.parts.others
        return None if others is None else self._predict(model, others, (PLAIN,))[PLAIN]

    def _evaluation_batch(self) -> int:
        return EVALUATION_FACTOR * micro_batch(self.config.batch_size, self.runtime.accum)

    def _targets(self, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return the soft targets of training images; None: their labels are the targets."""
        train = self.parts.train
        return train.targets[rows] if len(train.targets) else None

    def _rows(self) -> NDArray[np.int64]:
        return subsample_rows(self.parts.train.labels, self.config, self.parts.train.groups)

    def _class_weights(self) -> torch.Tensor | None:
        """Return the weights of the classes among the images that this member trains on."""
        labels = self.parts.train.labels[self._rows()]
        weights = class_weights(labels, self.config.class_weights, len(self.parts.classes))
        return None if weights is None else torch.from_numpy(weights)

    def _loader(self) -> TrainLoader:
        rows, train = self._rows(), self.parts.train
        reader = self._reader([train.paths[row] for row in rows])
        return TrainLoader(reader, train.labels[rows], self.config, self._targets(rows))

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
        """Predict views; a frozen member takes the features of its images from the cache."""
        wanted = own_views(self.config, kinds)
        known = self.embedder.views(part.paths, self.parts.task, wanted) if self.embedder else {}
        others = [kind for kind in wanted if kind not in known]
        views = known | (self._pass(model, part.paths, others) if others else {})
        if not all(np.isfinite(probs).all() for probs in views.values()):
            raise DivergedError(f"{self.config.arch} predicts values that are not finite numbers")
        return {kind: views[kind] for kind in wanted}

    def _pass(
        self, model: nn.Module, paths: Sequence[str], kinds: Collection[str] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Predict views by passes of the network."""
        return predict(
            model,
            self._reader(list(paths)),
            self.config,
            device=self.device,
            batch_size=self._evaluation_batch(),
            stats=self.stats,
            n_classes=len(self.parts.classes),
            task=self.parts.task,
            kinds=kinds,
            alive=self.runtime.alive,
        )

    def _seconds_per_image(self, model: nn.Module, seconds: float, n_images: int) -> float:
        """Return the time to predict an image in all views, in s; measured again if features were cached."""
        if self.embedder is None:
            return seconds / n_images
        paths = (*self.parts.test.paths, *self.parts.select.paths)[:_SAMPLE]
        self._pass(model, paths)  # a GPU chooses its kernels in the first pass
        started = self.runtime.clock()
        self._pass(model, paths)
        return (self.runtime.clock() - started) / len(paths)

    def after_epoch(self, learner: Any, epoch: int, loss: float, seconds: float) -> None:
        """Evaluate an epoch, save its checkpoint, then report it."""
        known = {"train_loss": loss, "lr": float(learner.opt.hypers[-1]["lr"])}
        self._evaluate(learner.model, known, self.fit_seconds + seconds)
        self.fit_seconds = 0.0  # the first epoch has it
        save_checkpoint(
            self.runtime.folder,
            epoch=epoch,
            model=learner.model,
            optimizer=learner.opt.opt,
            scaler=learner.scaler,
            history=self.history,
            averaged=None if self.average is None else self.average.averaged,
            spared=spared_epochs(self.history) if self.keeps_best else (),
        )
        self.runtime.saved()
        self.report(EpochReport(epoch, self.history[-1], ends_early=self.ends_early()))

    def _evaluate(self, model: nn.Module, known: Mapping[str, float], seconds: float) -> None:
        """Score the select split, and add an epoch of that many seconds to the history."""
        started = self.runtime.clock()
        probs = self._predict(model, self.parts.select, (PLAIN,))[PLAIN]
        averaged = {view: self._scores(own) for view, own in self._averaged(self.parts.select).items()}
        spent = {"train_seconds": seconds, "eval_seconds": self.runtime.clock() - started}
        self.history.append({**known, **self._scores(probs), **_by_view(averaged), **spent})

    def _scores(self, probs: NDArray[np.float32]) -> dict[str, float]:
        return member_scores(probs, self.parts.select.labels, self.runtime.metrics)

    def _summary(self, model: nn.Module, predictions: Predictions, seconds: float) -> dict[str, float]:
        """Return a member's scores and facts; its select split and test set were predicted in `seconds`."""
        n_images = len(predictions.select_ids) + len(predictions.test_ids)
        return {
            **_by_view({view: self._scores(probs) for view, probs in predictions.select.items()}),
            "train_seconds_total": sum(e["train_seconds"] + e["eval_seconds"] for e in self.history),
            "predict_ms_per_image": 1000 * self._seconds_per_image(model, seconds, n_images),
            "train_images": float(len(self._rows())),
            "parameters_m": sum(parameter.numel() for parameter in model.parameters()) / 1e6,
            "peak_mib": self.device.peak_mib(),
            **self.facts,
        }


def _by_view(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {f"{view}/{name}": value for view, values in scores.items() for name, value in values.items()}
