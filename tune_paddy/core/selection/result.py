"""Result of a selection: the ensemble weights of the views, and the rule that combines them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.core.pooling import Rule, pool
from tune_paddy.core.scores.thresholds import decide
from tune_paddy.core.tasks.arrays import Floats
from tune_paddy.core.tasks.names import CLASSES
from tune_paddy.core.tasks.task import Task


@dataclass(frozen=True)
class Candidate:
    """Result of one method in the automatic choice.

    Attributes:
        method: Name of the method.
        score: Mean metric over the halves that the method was not fitted on.
        difference: Score minus that of the best method, ≥ 0.
        standard_error: Standard error of the difference.
        chosen: Whether this method is used, see `core.selection.auto.compare`.
    """

    method: str
    score: float
    difference: float
    standard_error: float
    chosen: bool


@dataclass(frozen=True, eq=False)
class Selection:
    """Ensemble weights of the views, and the rule that combines them.

    Attributes:
        weights: Ensemble weights, float64 [views], ≥ 0, sum 1.
        score: Metric on the images of the selection: optimistic.
        metric: Name of the minimised loss, a key of `METRICS`.
        method: Name of the method that chose the weights.
        rule: Combination rule.
        temperature: Final temperature: the pooled p becomes p^(1/temperature), normalised.
        member_temperatures: Temperature of each view before pooling, float64 [views]; None: 1 for all.
        trajectory: Greedy only: score after each round, including rounds after the best prefix.
        order: Greedy only: view picked in each round, as long as `trajectory`.
        kept: Greedy only: number of rounds in the best prefix.
        gap: Bound on the log loss that other weights of the mean could gain, in nats; None for other rules.
        candidates: Automatic choice only: the compared methods, simplest first.
        task: Name of the task, see `core.tasks`.
        thresholds: Fitted thresholds of the decisions, float64: of ordered classes on the expected grade
            [classes - 1], of independent labels on their probabilities [labels]; None: the usual decisions.
    """

    weights: NDArray[np.float64]
    score: float
    metric: str = "log_loss"
    method: str = "fixed"
    rule: Rule = "mean"
    temperature: float = 1.0
    member_temperatures: NDArray[np.float64] | None = None
    trajectory: tuple[float, ...] = ()
    order: tuple[int, ...] = ()
    kept: int = 0
    gap: float | None = None
    candidates: tuple[Candidate, ...] = ()
    task: str = CLASSES
    thresholds: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        """Return one line: the arrays are attributes."""
        chosen = int((self.weights > 0).sum())
        return (
            f"<Selection by {self.method}: {chosen} of {len(self.weights)} views, "
            f"{self.metric} {self.score:.4f} (optimistic)>"
        )

    def blend(self, probs: Floats) -> NDArray[np.float64]:
        """Combine predictions [views, images, classes] of the same views into float64 [images, classes].

        Raises:
            InputError: The numbers of views and weights differ.
        """
        if len(probs) != len(self.weights):
            raise InputError(f"got {len(probs)} views for a selection of {len(self.weights)}")
        return pool(
            probs,
            self.weights,
            rule=self.rule,
            temperature=self.temperature,
            member_temperatures=self.member_temperatures,
            independent=Task.of(self.task).independent,
        )

    def decide(self, blended: Floats) -> NDArray[np.int64]:
        """Return the decision for each image, in the form of the task's labels.

        Args:
            blended: Probabilities of `blend`, [images, classes].
        """
        return decide(blended, Task.of(self.task), self.thresholds)

    def to_dict(self) -> dict[str, Any]:
        """Return the selection as plain lists and numbers, for JSON."""
        return {
            **vars(self),
            "weights": self.weights.tolist(),
            "member_temperatures": _listed(self.member_temperatures),
            "thresholds": _listed(self.thresholds),
            "trajectory": list(self.trajectory),
            "order": list(self.order),
            "candidates": [vars(candidate) for candidate in self.candidates],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Selection":
        """Restore a selection from `to_dict`; only `weights` is required."""
        given = dict(values)
        given["weights"] = np.asarray(given["weights"], np.float64)
        for name in ("member_temperatures", "thresholds"):
            given[name] = None if given.get(name) is None else np.asarray(given[name], np.float64)
        given["trajectory"] = tuple(given.get("trajectory", ()))
        given["order"] = tuple(given.get("order", ()))
        given["candidates"] = tuple(Candidate(**row) for row in given.get("candidates", ()))
        return cls(**{"score": float("nan"), **given})


def _listed(values: NDArray[np.float64] | None) -> list[float] | None:
    return None if values is None else values.tolist()
