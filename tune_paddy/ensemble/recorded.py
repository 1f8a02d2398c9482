"""Read a recorded ensemble back, with the predictions of its members."""

from dataclasses import replace
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.core.predictions import Pool
from tune_paddy.data.ensemble_file import DescribedEnsemble
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.standing import Standing
from tune_paddy.tracking.ensembles import read_recorded_ensemble
from tune_paddy.tracking.lookup.ensembles import current_ensemble
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.store import Store


def load_recorded(store: Store, run: RecordedRun) -> Ensemble:
    """Return an ensemble of a search as it was selected, without its assessment and its figures.

    Args:
        store: The record.
        run: Run of the ensemble.

    Raises:
        InputError: A search is gone, or a member has lost its predictions.
        TunePaddyError: MLflow failed.
    """
    described = read_recorded_ensemble(store, run)
    current = current_ensemble(store, run.search)
    return Ensemble(
        pool=_in_order(load_pool(store, described.searches), described, run.name),
        selection=described.selection,
        assessment=None,
        contributions={},
        redundancies={},
        frontier=None,
        folder=Path(),
        run_id=run.run_id,
        name=run.name,
        standing=Standing(current is not None and current.run_id == run.run_id),
    )


def _in_order(pool: Pool, described: DescribedEnsemble, name: str) -> Pool:
    """Return a pool with the views of an ensemble, in the order of its weights."""
    rows = {(view.run_id, view.kind): row for row, view in enumerate(pool.views)}
    missing = [view.name for view in described.views if (view.run_id, view.kind) not in rows]
    if missing:
        reasons = "; ".join(f"{refusal.member}: {refusal.reason}" for refusal in pool.refused)
        lost = f"ensemble {name!r}: {missing[0]} no longer has predictions"
        raise InputError(f"{lost} ({reasons or 'none are recorded'}); select again")
    order = [rows[view.run_id, view.kind] for view in described.views]
    return replace(
        pool,
        views=tuple(pool.views[row] for row in order),
        select=pool.select[order],
        test=pool.test[order],
    )
