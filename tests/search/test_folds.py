"""A real search with folds: each labelled image is predicted by a model that was not trained on it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Finished, searched
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.data.member_data import make_parts
from tune_paddy.data.split import SelectSplit
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.search.plan import SearchPlan
from tune_paddy.serving.collect import collect, symlink
from tune_paddy.serving.ensemble_model import EnsembleModel
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import list_members
from tune_paddy.training.inference import InferenceSettings
from tune_paddy.training.member import train_member
from tune_paddy.training.runtime import Runtime


def test_a_member_has_out_of_fold_predictions_of_all_labelled_images(
    finished: Finished, folded: SearchPlan, tmp_path: Path
) -> None:
    pool = load_pool(finished.store, ["folded"])
    assert pool.select_ids.tolist() == sorted(folded.dataset.labelled["id"])
    assert [view.kind for view in pool.views] == ["plain", "tta"] * 2
    parts = make_parts(folded.dataset, SelectSplit.load(folded.folder / "split.json", folded.dataset))
    config = MemberConfig(**{"seed": 42, **folded.space.recipes[0].values})
    for fold in (0, 1):
        plain = train_member(config, parts.fold(fold), Runtime(tmp_path / str(fold), allow_gpu=False))
        for row, view in enumerate(pool.views[:2]):
            expected = plain.predictions.select[view.kind]
            np.testing.assert_allclose(pool.select[row][parts.folds == fold], expected, atol=1e-5)


def test_epochs_of_all_folds_are_recorded_and_the_scheduler_lets_the_last_fold_end(
    finished: Finished, folded: SearchPlan
) -> None:
    member, _ = list_members(finished.store, folded.name)
    assert member.outcome == "finished"
    curve = finished.store.client.get_metric_history(member.run_id, "train_loss")
    assert [point.step for point in curve] == [1, 2, 3, 4]


def test_selection_accepts_a_pool_of_folds(finished: Finished, folded: SearchPlan, tmp_path: Path) -> None:
    ensemble = build_ensemble(finished.store, [folded.name], folder=tmp_path)
    assert ensemble.assessment
    assert ensemble.submission
    assert ensemble.submission.is_file()
    assert json.loads((ensemble.folder / "ensemble.json").read_text())["split"] == ensemble.pool.split


def test_all_models_of_a_member_are_exported_and_predict_as_in_the_submission(
    finished: Finished, folded: SearchPlan, tmp_path: Path
) -> None:
    ensemble = build_ensemble(finished.store, [folded.name], folder=tmp_path / "out")
    collected = collect(
        finished.store, folded.name, runs=tmp_path, ensemble=ensemble.name
    )  # a tag names the weights' folder
    folders = [member.folders for member in collected.manifest.members]
    assert folders == [[f"members/{n:02}/fold-{fold}" for fold in (0, 1)] for n in range(len(folders))]
    (tmp_path / "staged").mkdir()
    collected.stage(tmp_path / "staged", place=symlink)
    images = [str(finished.plan.dataset.root / "test_images" / name) for name in ensemble.pool.test_ids]
    answer = EnsembleModel(tmp_path / "staged", InferenceSettings("cpu", threads=1)).predict(images)
    np.testing.assert_allclose(answer.probs, ensemble.selection.blend(ensemble.pool.test), atol=1e-5)


def test_a_resumed_search_must_keep_its_number_of_folds(finished: Finished, folded: SearchPlan) -> None:
    plan = replace(folded, resumed=True, settings=folded.settings.model_copy(update={"folds": 0}))
    with pytest.raises(InputError, match="folds: 2 → 0"):
        searched(plan, finished.store)
