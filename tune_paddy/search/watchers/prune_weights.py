"""Remove weights files of weak members while a search runs, so that the disk does not fill.

Selection needs predictions alone, and every member keeps those. Exporting an ensemble needs the weights files
of its members, so the best candidates keep them.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

import numpy as np
from threadpoolctl import threadpool_limits

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.predictions import Pool
from tune_paddy.core.selection.log_linear import log_linear_select
from tune_paddy.core.selection.result import Selection
from tune_paddy.data.system.patience import impatient
from tune_paddy.data.system.text import counted
from tune_paddy.tracking.ensembles import selected_members, was_selected
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.store import Store
from tune_paddy.training.saved.shelf import Shelf

TOP = 10
"""Number of best single members to keep: another metric, or a few more trials, may select them."""

OnSelection = Callable[[Pool, Selection], None]


class WeightsKeeper:
    """Removes weights files of finished members that no good ensemble is likely to need.

    It keeps the members of the live greedy ensemble, those of a log-linear ensemble of the members that still
    have a weights file, the best `TOP` single members, and every member that a recorded ensemble has used.

    Args:
        store: The record.
        shelf: Files of the members.
    """

    def __init__(self, store: Store, shelf: Shelf) -> None:
        self._store, self._shelf = store, shelf
        self._removed: set[str] = set()  # thousands in a long search, whose folders need no look

    def __call__(self, pool: Pool, selection: Selection) -> None:
        """Prune the members of the pool; members that are not in it yet keep their files."""
        runs = {view.member: view.run_id for view in pool.views}
        try:
            with impatient():
                files = self._shelf.look()
        except TunePaddyError:  # a storage that fails now must not end the search
            return
        sizes = files.weights_bytes(runs.keys() - self._removed)
        stored = {name for name, size in sizes.items() if size}
        if len(stored) <= TOP:
            return
        needed = _with_weight(pool, selection) | _best(pool) | _log_linear(pool, stored)
        unneeded = sorted(stored - needed)
        used = selected_members(self._store) if unneeded else frozenset()
        for name in unneeded:
            if runs[name] not in used and not was_selected(self._store, runs[name]):
                # The same for a file that cannot be removed.
                with suppress(OSError, TunePaddyError), impatient():
                    files.remove_weights(name)
                    self._removed.add(name)


def weights_line(members: Iterable[RecordedRun], shelf: Shelf) -> str:
    """Return a line for the user: how many finished members have weights files, and their size.

    Args:
        members: Members of the search.
        shelf: Files of the members.
    """
    finished = [member.name for member in members if member.outcome == "finished"]
    try:
        with impatient():
            sizes = shelf.weights_bytes(finished).values()
    except TunePaddyError as error:  # the selection needs no weights
        return f"weights files: {error}"
    kept = [size for size in sizes if size]
    pruned = len(sizes) - len(kept)
    return (
        f"weights files of {counted(len(kept), 'member')} kept, {sum(kept) / 2**20:,.1f} MiB; {pruned} pruned"
    )


def _best(pool: Pool) -> set[str]:
    """Return the names of the `TOP` members with the lowest objective."""
    objectives = {view.member: float(view.metrics.get("objective", np.inf)) for view in pool.views}
    return set(sorted(objectives, key=lambda name: objectives[name])[:TOP])


def _with_weight(pool: Pool, selection: Selection) -> set[str]:
    return {pool.views[row].member for row in np.flatnonzero(selection.weights).tolist()}


def _log_linear(pool: Pool, names: set[str]) -> set[str]:
    """Return the members with a positive ensemble weight in a log-linear ensemble of the named members."""
    rows = [row for row, view in enumerate(pool.views) if view.member in names]
    with threadpool_limits(1):  # beside the trials
        selection = log_linear_select(pool.select[rows], pool.labels)
    return {pool.views[rows[row]].member for row in np.flatnonzero(selection.weights).tolist()}
