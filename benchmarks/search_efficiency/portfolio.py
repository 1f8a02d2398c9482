"""Order the configurations of tables by what they add to an ensemble per CPU second."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tables import Table, Training

from tune_paddy.core.metrics import EPS

LENGTH = 16
"""Recipes of a portfolio."""


class _Learner:
    """One table's part of the choice: the log-linear mean of the members so far, on the test images."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        self.table, self.names = table, names
        self._logs = np.stack([_logs(table.trainings[name]) for name in names])
        self._sum = np.zeros(self._logs.shape[1:])
        self._count = 0
        self._features: set[str] = set()
        self._unit = float(np.mean([table.trainings[name].cost for name in names]))
        self.loss = float(np.log(self._logs.shape[2]))

    def gains(self) -> NDArray[np.float64]:
        """Return the relative decrease of the loss by each candidate."""
        losses = self._losses()
        return np.asarray(np.log(self.loss / losses))

    def costs(self) -> NDArray[np.float64]:
        """Return the seconds of each candidate, features included, in mean trainings of this table."""
        return np.array([self._cost(self.table.trainings[name]) for name in self.names]) / self._unit

    def _cost(self, training: Training) -> float:
        known = training.features in self._features
        return training.cost + (0.0 if known else self.table.features.get(training.features, 0.0))

    def _losses(self) -> NDArray[np.float64]:
        logs = (self._sum + self._logs) / (self._count + 1)
        logs = logs - logs.max(axis=2, keepdims=True)
        shares = np.exp(logs)
        rows = np.arange(logs.shape[1])
        truth = shares[:, rows, self.table.test_labels] / shares.sum(axis=2)
        return np.asarray(-np.log(np.maximum(truth, EPS)).mean(axis=1))

    def add(self, index: int) -> None:
        """Add a candidate."""
        self.loss = float(self._losses()[index])
        self._sum = self._sum + self._logs[index]
        self._count += 1
        self._features.add(self.table.trainings[self.names[index]].features)


def _logs(training: Training) -> NDArray[np.float64]:
    """Return the mean log probabilities of a training's views on the test images."""
    return np.asarray(np.log(np.maximum(training.test[-1].astype(float), 1e-4)).mean(axis=0))


def portfolio(tables: Sequence[Table], length: int = LENGTH, origin: str = "") -> list[str]:
    """Return names of configurations, greedily: the largest mean gain per second first.

    Args:
        tables: Tables to learn from.
        length: Number of configurations.
        origin: Sub-space that they are from; empty: any.
    """
    shared = set.intersection(
        *({one.name for one in table.full if origin in ("", one.origin)} for table in tables)
    )
    names = sorted(shared)
    learners = [_Learner(table, names) for table in tables]
    chosen: list[str] = []
    while len(chosen) < min(length, len(names)):
        gains = np.mean([learner.gains() for learner in learners], axis=0)
        costs = np.mean([learner.costs() for learner in learners], axis=0)
        # Where nothing gains, the least harm is chosen whatever it costs.
        values = np.where(gains > 0, gains / costs, gains)
        values[[names.index(name) for name in chosen]] = -np.inf
        best = int(np.argmax(values))
        chosen.append(names[best])
        for learner in learners:
            learner.add(best)
    return chosen
