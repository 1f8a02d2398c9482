"""A selected ensemble, with the weight and contribution of each member."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tune_paddy.core.estimate import Assessment
from tune_paddy.core.explain import Redundancy
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.result import Selection
from tune_paddy.ensemble.fit import member_groups
from tune_paddy.ensemble.frontier import Frontier
from tune_paddy.ensemble.standing import Standing
from tune_paddy.tracking.files import SUBMISSION_FILE


@dataclass(frozen=True)
class Ensemble:
    """A selection from a pool, its assessment, and its files.

    Attributes:
        pool: Pool that the ensemble was selected from.
        selection: Ensemble weights, and the steps that led to them.
        assessment: Cross-fitted score, with comparisons; None if there is one image.
        contributions: Member number, see `member_groups` → increase of the loss without that member.
        redundancies: View left out → the selected view with the most similar errors.
        frontier: Log loss against minutes; None without a test set or measured times.
        folder: Folder of `submission.csv` (if there is a test set), `ensemble.json` and `figures`.
        run_id: Id of the ensemble's MLflow run; empty until it is recorded.
        name: Name, unique among the ensembles of the first search; empty until it is written.
        standing: Whether it is the current ensemble of the first search, and the comparison behind it.
    """

    pool: Pool
    selection: Selection
    assessment: Assessment | None
    contributions: Mapping[int, float]
    redundancies: Mapping[int, Redundancy]
    frontier: Frontier | None
    folder: Path
    run_id: str = ""
    name: str = ""
    standing: Standing = field(default_factory=Standing)

    @property
    def submission(self) -> Path | None:
        """Path of the submission, or None without a test set."""
        return self.folder / SUBMISSION_FILE if len(self.pool.test_ids) else None


def member_weights(ensemble: Ensemble) -> dict[str, float]:
    """Return run id of each member of the pool → sum of its views' ensemble weights."""
    totals: dict[str, float] = {}
    for view, weight in zip(ensemble.pool.views, ensemble.selection.weights, strict=True):
        totals[view.run_id] = totals.get(view.run_id, 0.0) + float(weight)
    return totals


def member_contributions(ensemble: Ensemble) -> dict[str, float]:
    """Return run id of each member of the pool → increase of the ensemble's loss without it.

    It is 0 for members with weight 0, and NaN for the only member of an ensemble.
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
