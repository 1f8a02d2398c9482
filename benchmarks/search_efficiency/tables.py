"""Read the tables of trainings, and replay searches on them: what they pay, and what their pools hold."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.metrics import error_rate, log_loss
from tune_paddy.core.selection.auto import auto_select
from tune_paddy.core.selection.log_linear import log_linear_select

Probs = NDArray[np.float32]


@dataclass(frozen=True)
class Training:
    """One training of a table.

    Attributes:
        name: Name, unique in its table and equal in all tables.
        origin: Name of its sub-space.
        kind: `full`, `short`, or another seed.
        values: Drawn parameters.
        config: All parameters.
        curve: Calibrated log loss on the select images at each epoch.
        seconds: CPU seconds from the start to the end of each epoch.
        kept: Epochs whose predictions are in the table: a quarter, half and all of them.
        predicting: CPU seconds to predict all views at each of these.
        select: View → float32 [images, classes] at each of these.
        test: The same for the test images.
        features: Name of the features of a frozen member; empty for others.
    """

    name: str
    origin: str
    kind: str
    values: Mapping[str, Any]
    config: Mapping[str, Any]
    curve: NDArray[np.float64]
    seconds: NDArray[np.float64]
    kept: tuple[int, ...]
    predicting: NDArray[np.float64]
    select: tuple[Probs, ...]
    test: tuple[Probs, ...]
    features: str

    @property
    def frozen(self) -> bool:
        """Whether it is a frozen member, which has a single stage."""
        return bool(self.features)

    @property
    def loss(self) -> float:
        """Calibrated log loss at the end."""
        return float(self.curve[-1])

    @property
    def last(self) -> int:
        """Index of the last stage."""
        return len(self.kept) - 1

    @property
    def cost(self) -> float:
        """CPU seconds of the whole training and its predictions, once its features exist."""
        return float(self.seconds[-1] + self.predicting[-1])


@dataclass(frozen=True)
class Table:
    """All trainings of a dataset.

    Attributes:
        dataset: Name of the dataset.
        trainings: Name → training.
        labels: Classes of the select images.
        test_labels: Classes of the test images.
        features: Name of features → CPU seconds to compute them.
    """

    dataset: str
    trainings: Mapping[str, Training]
    labels: NDArray[np.int64]
    test_labels: NDArray[np.int64]
    features: Mapping[str, float]

    @cached_property
    def full(self) -> tuple[Training, ...]:
        """Trainings that a search can propose."""
        return tuple(one for one in self.trainings.values() if one.kind == "full")

    def other(self, training: Training, kind: str) -> Training | None:
        """Return the training of the same parameters of another kind, if the table has it."""
        return self.trainings.get(training.name.rpartition("-")[0] + f"-{kind}")


def read_table(folder: Path, labels: NDArray[np.int64], test_labels: NDArray[np.int64]) -> Table:
    """Read the table in a folder."""
    trainings = [_read(path) for path in sorted(folder.glob("*-*-*.npz")) if "partial" not in path.name]
    seconds = {
        path.stem.removeprefix("features-"): max(0.0, float(json.loads(path.read_text())))
        for path in folder.glob("features-*.json")
    }
    return Table(folder.name, {one.name: one for one in trainings}, labels, test_labels, seconds)


def _read(path: Path) -> Training:
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        kept = tuple(int(epoch) for epoch in file["kept"])
        parts: list[tuple[Probs, ...]] = [
            tuple(
                np.stack([file[key] for key in sorted(file.files) if _is_of(key, part, epoch)]).astype(
                    np.float32
                )
                for epoch in kept
            )
            for part in ("select", "test")
        ]
        return Training(
            name=path.stem,
            origin=about["origin"],
            kind=about["kind"],
            values=about["values"],
            config=about["config"],
            curve=file["curve"],
            seconds=file["seconds"],
            kept=kept,
            predicting=file["predicting"],
            select=parts[0],
            test=parts[1],
            features=str(file["features"]) if "features" in file.files else "",
        )


def _is_of(key: str, part: str, epoch: int) -> bool:
    pieces = key.split("/")
    return pieces[0] == part and pieces[-1] == str(epoch)


Pool = tuple[tuple[str, int], ...]
"""Name and stage of each member."""


class OverBudget(Exception):  # noqa: N818 it ends a search, which is no error
    """The budget of a replayed search is spent."""


@dataclass
class Run:
    """A replayed search.

    Attributes:
        table: Table that answers.
        budget: CPU seconds after which nothing more starts.
        spent: CPU seconds so far.
        pool: Members so far.
        events: CPU seconds and pool after each member.
    """

    table: Table
    budget: float
    spent: float = 0.0
    pool: list[tuple[str, int]] = field(default_factory=list)
    events: list[tuple[float, Pool]] = field(default_factory=list)
    _reached: dict[str, float] = field(default_factory=dict)
    _features: set[str] = field(default_factory=set)

    def cost_of(self, training: Training) -> float:
        """Return what a whole training costs now, in CPU seconds."""
        extra = (
            0.0 if training.features in self._features else self.table.features.get(training.features, 0.0)
        )
        return training.cost + extra

    def train_to(self, training: Training, stage: int) -> float:
        """Train to the end of a stage; return the calibrated loss there.

        Raises:
            OverBudget: The budget is spent.
        """
        if self.spent >= self.budget:
            raise OverBudget
        if training.features and training.features not in self._features:
            self._features.add(training.features)
            self.spent += self.table.features.get(training.features, 0.0)
        epoch = training.kept[stage]
        seconds = float(training.seconds[epoch - 1])
        self.spent += seconds - self._reached.get(training.name, 0.0)
        self._reached[training.name] = seconds
        return float(training.curve[epoch - 1])

    def finish(self, training: Training, stage: int) -> None:
        """Predict at a stage that `train_to` reached, and add the member to the pool."""
        self.spent += float(training.predicting[stage])
        self.pool.append((training.name, stage))
        self.events.append((self.spent, tuple(self.pool)))

    def train(self, training: Training) -> float:
        """Train and predict a whole member; return its calibrated loss."""
        loss = self.train_to(training, training.last)
        self.finish(training, training.last)
        return loss

    def pool_at(self, seconds: float) -> Pool:
        """Return the pool after some CPU seconds."""
        return next((pool for spent, pool in reversed(self.events) if spent <= seconds), ())


class Ensembles:
    """Scores of the ensembles of pools; equal pools are scored once.

    Args:
        table: Table of the members.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._known: dict[frozenset[tuple[str, int]], tuple[float, float, float]] = {}

    def score(self, pool: Pool) -> tuple[float, float, float]:
        """Return select log loss, test log loss and test error of the log-linear ensemble of a pool."""
        key = frozenset(pool)
        if key not in self._known:
            select, test = self._views(pool)
            chosen = log_linear_select(select, self._table.labels)
            answer = chosen.blend(test)
            truth = self._table.test_labels
            self._known[key] = (float(chosen.score), log_loss(answer, truth), error_rate(answer, truth))
        return self._known[key]

    def weights(self, pool: Pool) -> dict[str, float]:
        """Return the weight of each member in the ensemble of a pool."""
        chosen = log_linear_select(self._views(pool)[0], self._table.labels)
        names = [name for name, stage in sorted(pool) for _ in self._table.trainings[name].select[stage]]
        totals = dict.fromkeys(names, 0.0)
        for name, weight in zip(names, chosen.weights, strict=True):
            totals[name] += float(weight)
        return totals

    def automatic(self, pool: Pool) -> tuple[str, float, float]:
        """Return the method that `auto_select` chooses, and the test log loss and error."""
        select, test = self._views(pool)
        chosen = auto_select(select, self._table.labels)
        answer = chosen.blend(test)
        truth = self._table.test_labels
        return chosen.method, log_loss(answer, truth), error_rate(answer, truth)

    def _views(self, pool: Pool) -> tuple[Probs, Probs]:
        ordered = sorted(pool)
        members = [(self._table.trainings[name], stage) for name, stage in ordered]
        return (
            np.concatenate([one.select[stage] for one, stage in members]),
            np.concatenate([one.test[stage] for one, stage in members]),
        )
