"""Watch the epochs of an attempt: random streams, losses, progress."""

from typing import TYPE_CHECKING

import torch
from fastai.callback.core import Callback, CancelFitException

from tune_paddy.training.epochs.overflow import mean_loss

if TYPE_CHECKING:
    from tune_paddy.training.attempt import Attempt


class EpochWatch(Callback):
    """Seed each epoch's random streams, collect its losses, and pass the finished epoch to the attempt."""

    def __init__(self, attempt: "Attempt", first: int, skip: int) -> None:
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
        """Seed the epoch, and begin to collect its losses."""
        epoch = self.first + self.learn.epoch
        # Dropout and stochastic depth use torch's global generator. Seeding it for each epoch makes a
        # resumed member equal to an uninterrupted one without storing any random state.
        torch.manual_seed(self.attempt.config.seed * 100_003 + epoch)
        self.learn.dls.train.epoch = epoch
        self.losses: list[torch.Tensor] = []
        self.thrash = self.attempt.thrash_watch()
        self.started = self.attempt.runtime.clock()

    def after_step(self) -> None:
        """Add the parameters to the average, if the member has one."""
        if self.attempt.average is not None:
            self.attempt.average.update(self.learn.model)

    def after_batch(self) -> None:
        """Keep the loss of a micro-batch, and report progress."""
        self.attempt.runtime.alive()
        self.losses.append(self.learn.loss)
        if self.thrash is not None:
            self.thrash.step()

    def after_epoch(self) -> None:
        """Pass the finished epoch to the attempt; end the training if it says so."""
        if self.learn.epoch < self.skip:
            return  # fastai fires this event for skipped epochs too
        epoch = self.first + self.learn.epoch + 1
        loss = mean_loss(self.losses, self.learn.model, self.learn.scaler, epoch)
        self.attempt.device.synchronize()
        seconds = self.attempt.runtime.clock() - self.started
        self.attempt.after_epoch(self.learn, epoch, loss, seconds)
        if self.attempt.ends_early():
            raise CancelFitException
