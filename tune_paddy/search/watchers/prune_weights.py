"""Which members' weights stay on disk while a search runs, so that it does not fill.

Predictions are all that selection needs, and these are kept of every member. Weights are needed to export an
ensemble: those of its best candidates are kept.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.log_linear import log_linear_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.data.system.text import counted
from tune_paddy.tracking.ensembles import was_selected
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.weight_files import remove_weights, weights_bytes

TOP = 10
"""The best members by themselves are kept as well: another metric, or a few more trials, may want them."""

OnSelection = Callable[[Pool, Selection], None]


class WeightsKeeper:
    """Removes the weights of finished members that no good ensemble seems to need.

    Kept are the members of the live greedy ensemble, those of the log-linear one (of members that still have
    weights), the best ten by themselves, and every member that a recorded ensemble uses or has used.

    Args:
        store: The record.
        folder: Holds a folder for each member.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder

    def __call__(self, pool: Pool, selection: Selection) -> None:
        """Look at what has finished; what is not in the pool yet is left alone."""
        runs = {view.member: view.run_id for view in pool.views}
        stored = {name for name in runs if weights_bytes(self._folder / name)}
        if len(stored) <= TOP:
            return
        needed = _with_weight(pool, selection) | _best(pool) | _log_linear(pool, stored)
        for name in sorted(stored - needed):
            if not was_selected(self._store, runs[name]):
                with suppress(OSError):  # what cannot be removed takes room, and is no reason to end
                    remove_weights(self._folder / name)


def weights_line(members: Iterable[RecordedRun], folder: Path) -> str:
    """How many of the finished members' weights are on disk, for a person.

    Args:
        members: Of the search.
        folder: Holds a folder for each member.
    """
    sizes = [weights_bytes(folder / member.name) for member in members if member.outcome == "finished"]
    kept = [size for size in sizes if size]
    return (
        f"weights of {counted(len(kept), 'member')} kept, {sum(kept) / 2**20:,.1f} MiB; "
        f"{len(sizes) - len(kept)} pruned"
    )


def _best(pool: Pool) -> set[str]:
    """The best members by themselves, on what the sampler minimises."""
    objectives = {view.member: float(view.info.get("objective", np.inf)) for view in pool.views}
    return set(sorted(objectives, key=lambda name: objectives[name])[:TOP])


def _with_weight(pool: Pool, selection: Selection) -> set[str]:
    return {pool.views[row].member for row in np.flatnonzero(selection.weights).tolist()}


def _log_linear(pool: Pool, names: set[str]) -> set[str]:
    """Members with weight in a log-linear ensemble of some of the pool's."""
    rows = [row for row, view in enumerate(pool.views) if view.member in names]
    with threadpool_limits(1):  # beside the trials
        selection = log_linear_select(pool.select[rows], pool.labels)
    return {pool.views[rows[row]].member for row in np.flatnonzero(selection.weights).tolist()}
