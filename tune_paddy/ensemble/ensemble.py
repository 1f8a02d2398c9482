"""An ensemble as it was chosen, and what each of its members is worth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.estimate import Assessment
from tune_paddy.core.explain import Redundancy
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection
from tune_paddy.ensemble.fit import member_groups
from tune_paddy.ensemble.frontier import Frontier
from tune_paddy.tracking.files import SUBMISSION_FILE


@dataclass(frozen=True)
class Ensemble:
    """A selection of a pool, what may be said of it, and what was written.

    Attributes:
        pool: What was selected from.
        selection: The weights, and how they came about.
        assessment: Its score on images it was not selected on, beside its rivals'.
        contributions: Member number → what the loss would rise by without it, see `member_groups`.
        redundancies: View left out → the chosen view that it resembles most.
        frontier: Log loss against minutes; None without a test set or measured times.
        folder: Holds `submission.csv` (when there is a test set), `ensemble.json` and `figures`.
        run_id: The MLflow run of the ensemble; empty until it is recorded.
    """

    pool: Pool
    selection: Selection
    assessment: Assessment | None
    contributions: Mapping[int, float]
    redundancies: Mapping[int, Redundancy]
    frontier: Frontier | None
    folder: Path
    run_id: str = ""

    @property
    def submission(self) -> Path | None:
        """The submission, or None without a test set."""
        return self.folder / SUBMISSION_FILE if len(self.pool.test_ids) else None


def member_weights(ensemble: Ensemble) -> dict[str, float]:
    """MLflow run of each member of the pool → the sum of its views' weights."""
    totals: dict[str, float] = {}
    for view, weight in zip(ensemble.pool.views, ensemble.selection.weights, strict=True):
        totals[view.run_id] = totals.get(view.run_id, 0.0) + float(weight)
    return totals


def member_contributions(ensemble: Ensemble) -> dict[str, float]:
    """MLflow run of each member of the pool → what the loss would rise by without it.

    0 for members without weight; the only member of an ensemble, without which nothing is left, has none.
    """
    weights = member_weights(ensemble)
    numbers = dict(
        zip((view.run_id for view in ensemble.pool.views), member_groups(ensemble.pool), strict=True)
    )
    alone = sum(weight > 0 for weight in weights.values()) == 1
    return {
        run_id: ensemble.contributions.get(int(numbers[run_id]), math.nan if alone and weight > 0 else 0.0)
        for run_id, weight in weights.items()
    }
