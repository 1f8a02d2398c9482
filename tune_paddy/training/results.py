"""What a member's training reports: its epochs, and its result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.predictions import Predictions


@dataclass(frozen=True)
class EpochReport:
    """Metrics of one epoch.

    Attributes:
        epoch: Number of finished epochs over all phases, from 1.
        metrics: Name → value: losses on the select split, durations in seconds, learning rate.
        ends_early: Whether the member's training ends with this epoch, before its last one.
    """

    epoch: int
    metrics: Mapping[str, float]
    ends_early: bool = False


Report = Callable[[EpochReport], None]
"""Callback with each finished epoch; an exception from it stops the training, which can be resumed."""


@dataclass(frozen=True)
class MemberResult:
    """A trained member.

    Attributes:
        config: Configuration of the member.
        predictions: Predictions of the select split and the test set in every view that the configuration
            has, see `core.views`.
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
