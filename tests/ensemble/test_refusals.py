"""Invalid pools are refused before anything is written, with a message that names the cause."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Finished
from tests.ensemble.conftest import make_pool
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import Predictions
from tune_paddy.ensemble.build import Ensemble, build_ensemble
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.tracking.members import log_member, start_member
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store, open_store


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
    parent = start_search(store, name=name)
    for number, predictions in enumerate(members):
        member = f"{number:04d}-net"
        params = {"arch": "net"}
        run_id = start_member(store, search=name, member=member, parent_run_id=parent, params=params)
        log_member(store, run_id, predictions, {"log_loss": 0.5})
    return build_ensemble(store, [name], folder=folder, options=SelectionOptions(method="greedy"))


def without_class(predictions: Predictions, label: int) -> Predictions:
    """Return the predictions with a select split that lacks a class."""
    return replace(
        predictions, select_labels=np.where(predictions.select_labels == label, 0, predictions.select_labels)
    )


def test_a_class_without_images_is_named_in_the_report_and_the_submission_is_written(
    store: Store, tmp_path: Path
) -> None:
    members = [without_class(predictions_of(seed), 2) for seed in (0, 1)]
    ensemble = select_from(store, "lacking", members, tmp_path)
    assert ensemble.submission is not None
    assert ensemble.submission.is_file()
    told = "Not judged, without an image in the select split: 1 class (class 2)."
    assert told in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_split_without_images_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to select from: 4 views, 0 images"):
        select_from(store, "empty", [predictions_of(seed, images=0) for seed in (0, 1)], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_member_of_another_split_is_left_out_by_name(store: Store, tmp_path: Path) -> None:
    members = [predictions_of(0), predictions_of(1), replace(predictions_of(2), split="other")]
    ensemble = select_from(store, "splits", members, tmp_path)
    assert {view.member for view in ensemble.pool.views} == {"0000-net", "0001-net"}
    (refusal,) = ensemble.pool.refused
    assert (refusal.member, "split other" in refusal.reason) == ("0002-net", True)


def test_a_member_with_nan_is_never_recorded(store: Store, tmp_path: Path) -> None:
    """Afterwards the search has no member to select from."""
    broken = predictions_of(0)
    broken.select["tta"][3, 1] = np.nan
    with pytest.raises(TunePaddyError, match="select/tta: 1 images have values that are not finite"):
        select_from(store, "broken", [broken], tmp_path)
    with pytest.raises(InputError, match="'broken': no finished member to select from"):
        build_ensemble(store, ["broken"], folder=tmp_path)


def test_one_member_is_an_ensemble_of_one(store: Store, tmp_path: Path) -> None:
    """It has a submission, an estimate and figures, but no figure that compares members."""
    ensemble = select_from(store, "single", [predictions_of(0)], tmp_path)
    assert ensemble.selection.weights.sum() == pytest.approx(1)
    assert ensemble.assessment
    assert ensemble.contributions == {}
    assert ensemble.submission
    assert ensemble.submission.exists()
    assert (tmp_path / "figures" / "confusion.png").exists()
    figures = {file.path for file in store.client.list_artifacts(ensemble.run_id, "figures")}
    assert {"figures/confusion.png", "figures/recall.png", "figures/reliability.png"} <= figures


def test_a_seed_below_0_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(InputError, match=r"^seed -1: give a whole number of at least 0"):
        SelectionOptions(seed=-1)
