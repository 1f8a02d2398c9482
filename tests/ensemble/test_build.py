import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Finished
from tests.ensemble.conftest import ensemble_of, make_pool
from tune_paddy.core.errors import InputError
from tune_paddy.core.selection import auto
from tune_paddy.core.selection.plain import fixed_select, greedy_select
from tune_paddy.data.ensemble_file import read_ensemble
from tune_paddy.data.system.progress.stages import Silent
from tune_paddy.ensemble.build import build_ensemble, member_contributions
from tune_paddy.ensemble.ensemble import Ensemble
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.ensemble.switch import use_ensemble
from tune_paddy.tracking.runs import get_search, list_ensembles, list_members

Build = Callable[[str], Ensemble]


@pytest.fixture(scope="module")
def build(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build the ensemble of a method once for all tests that read only its files."""

    @cache
    def built(method: str) -> Ensemble:
        folder = tmp_path_factory.mktemp(method)
        return build_ensemble(
            finished.store, ["first"], folder=folder, options=SelectionOptions(method=method)
        )

    return built


def test_the_submission_has_the_most_likely_class_of_each_test_image_in_the_samples_order(
    finished: Finished, build: Build
) -> None:
    ensemble = build("auto")
    assert ensemble.submission
    written = pd.read_csv(ensemble.submission, dtype=str)
    sample = pd.read_csv(finished.plan.dataset.root / "sample_submission.csv", dtype=str)
    assert written["image_id"].tolist() == sample["image_id"].tolist()
    likeliest = ensemble.selection.blend(ensemble.pool.test).argmax(axis=1)
    assert written["label"].tolist() == [ensemble.pool.classes[code] for code in likeliest]


def test_the_weights_are_those_of_greedy_selection_and_are_recorded(
    finished: Finished, tmp_path: Path
) -> None:
    options = SelectionOptions(metric="error_rate", method="greedy")
    ensemble = build_ensemble(finished.store, ["first"], folder=tmp_path, options=options)
    expected = greedy_select(ensemble.pool.select, ensemble.pool.labels, metric="error_rate")
    assert ensemble.selection.weights.tolist() == expected.weights.tolist()
    described = json.loads((ensemble.folder / "ensemble.json").read_text())
    use_ensemble(finished.store, "first", ensemble.name, tmp_path)
    assert [view["weight"] for view in described["views"]] == expected.weights.tolist()
    recorded = {m.run_id: m.metrics.get("ensemble_weight") for m in list_members(finished.store, "first")}
    for run_id in {view["run_id"] for view in described["views"]}:
        total = sum(view["weight"] for view in described["views"] if view["run_id"] == run_id)
        assert recorded[run_id] == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("method", ["auto", "log_linear", "bagged_calibrated"])
def test_a_written_ensemble_blends_the_same_after_reading(build: Build, method: str) -> None:
    ensemble = build(method)
    described = read_ensemble(ensemble.folder / "ensemble.json")
    assert described.classes == ensemble.pool.classes
    assert described.split == ensemble.pool.split
    assert [(v.name, v.run_id, v.arch) for v in described.views] == [
        (v.name, v.run_id, v.arch) for v in ensemble.pool.views
    ]
    blended = described.selection.blend(ensemble.pool.test)
    np.testing.assert_array_equal(blended, ensemble.selection.blend(ensemble.pool.test))
    assert described.selection.to_dict() == ensemble.selection.to_dict()


def test_another_process_without_torch_and_ray_writes_identical_files(
    finished: Finished, build: Build, tmp_path: Path
) -> None:
    """Its figures are composed, but not drawn, which would take longer than all the rest."""
    here = build("auto").folder
    script = (
        "import sys; from tune_paddy.cli import main; sys.argv[1:] = sys.argv[2:]\n"
        "from tune_paddy.core.selection import auto\n"
        "from tune_paddy.ensemble.reports import figures\n"
        "from tune_paddy.ensemble.reports.page import themed\n"
        f"auto.REPEATS = {auto.REPEATS}\n"
        "figures._write_png = lambda figure, path: path.touch()\n"
        "themed.svg = lambda figure: b'<svg xmlns=\"http://www.w3.org/2000/svg\"/>'\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'ray', 'fastai', 'timm', 'optuna', 'imagehash'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    command = [sys.executable, "-c", script, "-", "select", "first", "--out", str(tmp_path / "two")]
    command += ["--tracking-uri", finished.store.tracking_uri, "--runs", str(finished.runs)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in ("submission.csv", "ensemble.json"):
        assert (here / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_fixed_weights_replace_the_selection(finished: Finished, tmp_path: Path) -> None:
    options = SelectionOptions(weights=("test_resnet=2", "test_convnext=1"))
    ensemble = build_ensemble(finished.store, ["first"], folder=tmp_path, options=options)
    weights = dict(zip((view.name for view in ensemble.pool.views), ensemble.selection.weights, strict=True))
    assert sum(weights.values()) == pytest.approx(1)
    for name, weight in weights.items():
        wanted = 0 if name.endswith("/plain") else 2 if "resnet" in name else 1
        assert weight == pytest.approx(wanted * weights["0000-test_resnet-32/tta"] / 2)


def test_the_ensemble_is_a_run_of_its_own_under_the_search(finished: Finished, tmp_path: Path) -> None:
    before = {run.run_id for run in list_ensembles(finished.store, "first")}
    ensemble = build_ensemble(
        finished.store, ["first"], folder=tmp_path, options=SelectionOptions(method="uniform")
    )
    ensembles = list_ensembles(finished.store, "first")
    assert {run.run_id for run in ensembles} == before | {ensemble.run_id}
    members = {member.run_id for member in list_members(finished.store, "first")}
    assert ensemble.run_id not in members | {get_search(finished.store, "first").run_id}
    files = {file.path for file in finished.store.client.list_artifacts(ensemble.run_id)}
    assert {"submission.csv", "ensemble.json"} <= files


@pytest.mark.parametrize(("metric", "shown"), [("macro_f1", "1 − macro F1"), ("map_at_2", "1 − MAP@2")])
def test_a_loss_is_recorded_under_a_name_of_its_own(
    finished: Finished, tmp_path: Path, metric: str, shown: str
) -> None:
    """1 − F1 must not be mistaken for F1; the k of MAP@k is any number."""
    options = SelectionOptions(metric=metric, method="uniform")
    ensemble = build_ensemble(finished.store, ["first"], folder=tmp_path, options=options)
    assert ensemble.assessment
    recorded = finished.store.client.get_run(ensemble.run_id).data.metrics
    assert recorded[f"ensemble_one_minus_{metric}"] == pytest.approx(
        ensemble.assessment.estimate.score, rel=1e-5
    )
    assert not {f"ensemble_{metric}", f"ensemble_select_{metric}"} & set(recorded)
    assert shown in (ensemble.folder / "report.html").read_text("utf-8")


def test_a_search_without_a_finished_member_is_refused(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no search 'second'"):
        build_ensemble(finished.store, ["second"], folder=tmp_path)


def test_members_record_their_contributions_and_the_search_its_score(
    finished: Finished, tmp_path: Path
) -> None:
    """A contribution is the loss's increase without the member; the search has the cross-fitted score."""
    ensemble = build_ensemble(
        finished.store, ["first"], folder=tmp_path, options=SelectionOptions(method="uniform")
    )
    assert ensemble.assessment
    use_ensemble(finished.store, "first", ensemble.name, tmp_path)
    recorded = {member.run_id: member.metrics for member in list_members(finished.store, "first")}
    names = list(dict.fromkeys(view.run_id for view in ensemble.pool.views))
    for number, run_id in enumerate(names):
        told = recorded[run_id]["ensemble_contribution"]
        assert told == pytest.approx(ensemble.contributions[number], abs=1e-5)
    parent = get_search(finished.store, "first").metrics
    assert parent["log_loss"] == pytest.approx(ensemble.assessment.estimate.score, rel=1e-5)
    wrong = ensemble.assessment.predictions.argmax(axis=1) != ensemble.pool.labels
    assert parent["error_rate"] == pytest.approx(wrong.mean(), rel=1e-5)


def test_the_contribution_of_an_ensembles_only_member_is_nan_and_that_of_the_others_0() -> None:
    pool = make_pool()
    ensemble = ensemble_of(pool, fixed_select(pool.select, pool.labels, [0, 0, 1, 0, 0, 0]))
    told = member_contributions(ensemble)
    assert math.isnan(told.pop("run 1"))
    assert told == {"run 0": 0, "run 2": 0}


def test_the_stages_of_a_selection_are_reported_in_order(finished: Finished, tmp_path: Path) -> None:
    stages: list[str] = []

    class Listener(Silent):
        def stage(self, what: str, _total: int | None = None) -> None:
            stages.append(what)

    options = SelectionOptions(method="greedy")
    build_ensemble(finished.store, ["first"], folder=tmp_path, options=options, progress=Listener())
    assert [stage.split()[0] for stage in stages] == [
        "reading",
        "selecting",
        "estimating",
        "drawing",
        "recording",
    ]
