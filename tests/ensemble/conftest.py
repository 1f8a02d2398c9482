"""Pools of predictions, ensembles and a record for the tests of selections, reports and figures."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Finished
from tune_paddy.core.estimate import assess
from tune_paddy.core.explain import marginal_contributions, redundancies
from tune_paddy.core.predictions import Pool, Predictions, View
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.views import PLAIN, TTA
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.fit import member_groups
from tune_paddy.ensemble.frontier import find_frontier
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.tracking.members import log_member, start_member
from tune_paddy.tracking.runs import RecordedRun
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store, open_store


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


@pytest.fixture(scope="module")
def store(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A copy of the record, since creating a schema takes seconds; each test records a search in it."""
    root = tmp_path_factory.mktemp("record")
    known = finished.store.tracking_uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(known)) as source, closing(sqlite3.connect(root / "mlflow.db")) as target:
        source.backup(target)
    uri = f"sqlite:///{root}/mlflow.db"
    return open_store(uri, experiment="refusals", artifact_root=root / "artifacts", create=True)


def predictions_of(seed: int, **pool: int) -> Predictions:
    """Make the predictions of one member, with both views."""
    made = make_pool(1, seed=seed, **pool)
    return Predictions(
        classes=made.classes,
        split=made.split,
        select_ids=made.select_ids,
        select_labels=made.labels,
        test_ids=made.test_ids,
        select=dict(zip(("plain", "tta"), made.select, strict=True)),
        test=dict(zip(("plain", "tta"), made.test, strict=True)),
    )


def select_from(store: Store, name: str, members: Sequence[Predictions], folder: Path) -> Ensemble:
    """Record a search with these members and select from it."""
    record_members(store, name, members)
    return build_ensemble(store, [name], folder=folder, options=SelectionOptions(method="greedy"))


def record_members(store: Store, name: str, members: Sequence[Predictions]) -> None:
    """Record a search with finished members."""
    parent = start_search(store, name=name)
    for number, predictions in enumerate(members):
        member = f"{number:04d}-net"
        params = {"arch": "net"}
        run_id = start_member(store, search=name, member=member, parent_run_id=parent, params=params)
        log_member(store, run_id, predictions, {"log_loss": 0.5})
