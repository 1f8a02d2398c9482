"""From finished members to a submission: load the pool, select, blend, write, record."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.core.metrics import METRICS
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection import Selection, best_single, fixed_select, greedy_select, uniform_select
from tune_paddy.data.submission import SAMPLE, SubmissionFormat, check_submission, write_submission
from tune_paddy.ensemble.fixed_weights import parse_weights, weigh
from tune_paddy.tracking.ensembles import log_ensemble
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import RecordedRun, get_search
from tune_paddy.tracking.store import Store

SUBMISSION, ENSEMBLE = "submission.csv", "ensemble.json"


@dataclass(frozen=True)
class Ensemble:
    """A selection of a pool, what it is compared with, and what was written.

    Attributes:
        pool: What was selected from.
        selection: The weights, and how they came about.
        best_single: The best view alone.
        uniform: The plain average of all views.
        folder: Holds `submission.csv` (when there is a test set) and `ensemble.json`.
        run_id: The MLflow run of the ensemble.
    """

    pool: Pool
    selection: Selection
    best_single: Selection
    uniform: Selection
    folder: Path
    run_id: str

    @property
    def submission(self) -> Path | None:
        """The submission, or None without a test set."""
        return self.folder / SUBMISSION if len(self.pool.test_ids) else None

    def scores(self, selection: Selection) -> dict[str, float]:
        """Losses of a selection of this pool on the images that it was selected on."""
        probs = selection.blend(self.pool.select)
        return {name: METRICS[name](probs, self.pool.labels) for name in ("log_loss", "error_rate")}


def build_ensemble(
    store: Store,
    searches: Sequence[str],
    *,
    folder: Path,
    metric: str = "log_loss",
    rounds: int = 100,
    weights: Sequence[str] = (),
) -> Ensemble:
    """Select from the finished members of one or several searches, and write the submission.

    Args:
        store: The record; nothing else is read but the dataset's sample submission, where it exists.
        searches: Their names; the ensemble is recorded under the first.
        folder: Where the files go; made when missing.
        metric: The loss that selection minimises.
        rounds: Of greedy selection.
        weights: `PATTERN=WEIGHT` texts: weights by hand instead of a selection.

    Raises:
        InputError: No such search, no usable member, unusable weights, or a submission that does not
            fit the sample submission.
    """
    search = get_search(store, searches[0])
    pool = load_pool(store, searches)
    if not pool.views:
        raise InputError(_nothing(searches, pool))
    selection = _select(pool, metric, rounds, weights)
    ensemble = Ensemble(
        pool=pool,
        selection=selection,
        best_single=best_single(pool.select, pool.labels, metric=metric),
        uniform=uniform_select(pool.select, pool.labels, metric=metric),
        folder=folder,
        run_id="",
    )
    folder.mkdir(parents=True, exist_ok=True)
    files = _write(ensemble, searches, search)
    run_id = _record(store, ensemble, searches, files)
    return Ensemble(pool, selection, ensemble.best_single, ensemble.uniform, folder, run_id)


def predicted_labels(probs: NDArray[np.float64], classes: Sequence[str]) -> list[str]:
    """Name of the likeliest class of each image; a tie goes to the first class.

    Args:
        probs: [images, classes].
        classes: Names, in the order of the last axis.
    """
    return [classes[index] for index in probs.argmax(axis=1)]


def _select(pool: Pool, metric: str, rounds: int, weights: Sequence[str]) -> Selection:
    if weights:
        by_hand = weigh(pool.views, parse_weights(weights))
        return fixed_select(pool.select, pool.labels, by_hand, metric=metric)
    return greedy_select(pool.select, pool.labels, metric=metric, rounds=rounds)


def _nothing(searches: Sequence[str], pool: Pool) -> str:
    names = " and ".join(repr(name) for name in searches)
    reasons = "; ".join(f"{refusal.member}: {refusal.reason}" for refusal in pool.refused[:5])
    return f"{names}: no finished member to select from" + (f" ({reasons})" if reasons else "")


def _write(ensemble: Ensemble, searches: Sequence[str], search: RecordedRun) -> list[Path]:
    path = ensemble.folder / ENSEMBLE
    path.write_text(json.dumps(describe(ensemble, searches), indent=2) + "\n", encoding="utf-8")
    if ensemble.submission is None:
        return [path]
    pool = ensemble.pool
    form = SubmissionFormat(
        search.tags.get("tune_paddy.id_column", "image_id"),
        search.tags.get("tune_paddy.label_column", "label"),
    )
    labels = predicted_labels(ensemble.selection.blend(pool.test), pool.classes)
    write_submission(ensemble.submission, pool.test_ids.tolist(), labels, form)
    sample = Path(search.tags.get("tune_paddy.dataset", "")) / SAMPLE
    if sample.is_file():  # the record may have come from another machine
        check_submission(ensemble.submission, sample, pool.classes)
    return [ensemble.submission, path]


def describe(ensemble: Ensemble, searches: Sequence[str]) -> dict[str, Any]:
    """The content of `ensemble.json`: enough to blend again from the members' runs."""
    selection = ensemble.selection.to_dict()
    weights = selection.pop("weights")
    return {
        "format": 1,
        "searches": list(searches),
        "split": ensemble.pool.split,
        "classes": list(ensemble.pool.classes),
        "views": [
            {
                "member": view.member,
                "view": view.kind,
                "arch": view.arch,
                "run_id": view.run_id,
                "weight": weight,
            }
            for view, weight in zip(ensemble.pool.views, weights, strict=True)
        ],
        "selection": selection,
        "refused": [{"member": r.member, "reason": r.reason} for r in ensemble.pool.refused],
    }


def member_weights(ensemble: Ensemble) -> dict[str, float]:
    """MLflow run of each member of the pool → the sum of its views' weights."""
    totals: dict[str, float] = {}
    for view, weight in zip(ensemble.pool.views, ensemble.selection.weights, strict=True):
        totals[view.run_id] = totals.get(view.run_id, 0.0) + float(weight)
    return totals


def _record(store: Store, ensemble: Ensemble, searches: Sequence[str], files: Sequence[Path]) -> str:
    selection = ensemble.selection
    return log_ensemble(
        store,
        search=searches[0],
        selection_dict=describe(ensemble, searches),
        files=files,
        metrics={f"ensemble_{name}": value for name, value in ensemble.scores(selection).items()},
        params={"method": selection.method, "metric": selection.metric, "searches": ", ".join(searches)},
        weights=member_weights(ensemble),
    )
