"""Invalid pools are refused before anything is written, with a message that names the cause."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.ensemble.conftest import predictions_of, select_from
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import Predictions
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.tracking.store import Store

pytestmark = pytest.mark.usefixtures("finished")  # whose record the store copies


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
    assert (ensemble.folder / "figures" / "confusion.png").exists()
    figures = {file.path for file in store.client.list_artifacts(ensemble.run_id, "figures")}
    assert {"figures/confusion.png", "figures/recall.png", "figures/reliability.png"} <= figures


def test_a_seed_below_0_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(InputError, match=r"^seed -1: give a whole number of at least 0"):
        SelectionOptions(seed=-1)
