"""What a selection is: the weights of views, and how they are combined."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import Floats
from tune_paddy.core.pooling import Rule, pool


@dataclass(frozen=True)
class Candidate:
    """How one method did in the cross-fitting of the automatic choice.

    Attributes:
        method: Its name.
        score: Mean of the metric over the halves that it was not fitted on.
        difference: What it loses to the best method, ≥ 0.
        standard_error: Of the difference.
        chosen: Whether it is the simplest whose difference is within one standard error.
    """

    method: str
    score: float
    difference: float
    standard_error: float
    chosen: bool


@dataclass(frozen=True, eq=False)
class Selection:
    """Which views are in the ensemble, with what weights, and how they are combined.

    Attributes:
        weights: float64 [views], ≥ 0, sum 1.
        score: The metric on the images that it was selected on: optimistic.
        metric: Name of the loss that was minimised, a key of `METRICS`.
        method: Name of the method that chose the weights.
        rule: How views are combined.
        temperature: The combined probabilities p become p^(1/temperature), normalised; 1 changes nothing.
        member_temperatures: float64 [views], the same for each view before; None: 1 for all.
        trajectory: Greedy only: the score after each round, those after the best prefix included.
        order: Greedy only: the view picked in each round, as long as `trajectory`.
        kept: Greedy only: how many rounds the best prefix has.
        gap: Bound on what any other weights of a plain mean could gain in log loss, in nats; None for
            other rules.
        candidates: Automatic choice only: the methods that were compared, in the order of simplicity.
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

    def blend(self, probs: Floats) -> NDArray[np.float64]:
        """Combine predictions [views, images, classes] of the same views into float64 [images, classes].

        Raises:
            InputError: There are not as many views as weights.
        """
        if len(probs) != len(self.weights):
            raise InputError(f"{len(probs)} views were given to a selection of {len(self.weights)}")
        return pool(
            probs,
            self.weights,
            rule=self.rule,
            temperature=self.temperature,
            member_temperatures=self.member_temperatures,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON."""
        temperatures = self.member_temperatures
        return {
            **vars(self),
            "weights": self.weights.tolist(),
            "member_temperatures": None if temperatures is None else temperatures.tolist(),
            "trajectory": list(self.trajectory),
            "order": list(self.order),
            "candidates": [vars(candidate) for candidate in self.candidates],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Selection":
        """Read `to_dict` back; only `weights` is needed, and what is missing takes its default."""
        given = dict(values)
        temperatures = given.get("member_temperatures")
        given["weights"] = np.asarray(given["weights"], np.float64)
        given["member_temperatures"] = None if temperatures is None else np.asarray(temperatures, np.float64)
        given["trajectory"] = tuple(given.get("trajectory", ()))
        given["order"] = tuple(given.get("order", ()))
        given["candidates"] = tuple(Candidate(**row) for row in given.get("candidates", ()))
        return cls(**{"score": float("nan"), **given})
