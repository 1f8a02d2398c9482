"""Pools of predictions and ensembles for the tests of reports and figures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tune_paddy.core.estimate import assess
from tune_paddy.core.explain import marginal_contributions, redundancies
from tune_paddy.core.predictions import PLAIN, TTA, Pool, View
from tune_paddy.core.selection.result import Selection
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.fit import member_groups
from tune_paddy.ensemble.frontier import find_frontier
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.tracking.runs import RecordedRun


def make_pool(members: int = 3, classes: int = 3, images: int = 60, tests: int = 20, seed: int = 0) -> Pool:
    """Make a pool of `plain` and `tta` views with mostly correct predictions; slower members are better."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images + tests) % classes
    views, probs = [], []
    for number in range(members):
        info = {"predict_ms_per_image": 30.0 * (1 + number), "tta": "2", "parameters_m": 1.5}
        for kind in (PLAIN, TTA):
            views.append(View(f"{number:04d}-net", kind, f"run {number}", "net", info))
            logits = rng.normal(size=(images + tests, classes))
            logits[np.arange(len(labels)), labels] += 1 + number % 6 / 2
            probs.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    together = np.array(probs).astype(np.float32)
    return Pool(
        views=tuple(views),
        classes=tuple(f"class {label}" for label in range(classes)),
        split="abc",
        labels=labels[:images],
        select_ids=np.array([f"{i}.jpg" for i in range(images)]),
        test_ids=np.array([f"test {i}.jpg" for i in range(tests)], dtype=np.str_),
        select=together[:, :images],
        test=together[:, images:],
    )


def first_view(pool: Pool) -> Pool:
    """Return the pool of the first view alone."""
    return replace(pool, views=pool.views[:1], select=pool.select[:1], test=pool.test[:1])


def ensemble_of(pool: Pool, selection: Selection, *, assessed: bool = True) -> Ensemble:
    """Make an ensemble without files; its assessment treats the selection as fixed in advance."""
    probs, labels = pool.select, pool.labels
    return Ensemble(
        pool=pool,
        selection=selection,
        assessment=assess(probs, labels, lambda *_: selection) if assessed else None,
        contributions=marginal_contributions(selection, probs, labels, member_groups(pool)),
        redundancies=redundancies(selection, probs, labels),
        frontier=find_frontier(pool, selection, SelectionOptions()),
        folder=Path("unused"),
    )


def recorded(name: str, kind: str = "member", **changes: Any) -> RecordedRun:
    """Make a finished run of the record."""
    values = {
        "name": name,
        "kind": kind,
        "search": "night",
        "run_id": f"run {name}",
        "experiment_id": "1",
        "status": "FINISHED",
        "outcome": "finished",
        "failure": "",
        "started": 1000.0,
        "ended": 1060.0,
        "metrics": {},
        "params": {},
        "tags": {},
        "artifact_uri": "",
    }
    return RecordedRun(**(values | changes))
