"""`--refit all`: a submission of members that were trained on every labelled image."""

import json
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import Call
from tests.conftest import Finished
from tests.search.here import trained_here
from tune_paddy.cli.select import Machine, refit_and_print
from tune_paddy.core.errors import SearchInterruptedError
from tune_paddy.ensemble.build import Ensemble, build_ensemble
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.search.plan import SearchPlan
from tune_paddy.serving.collect import Collected, collect, symlink
from tune_paddy.serving.export import check
from tune_paddy.tracking.pool import load_pool
from tune_paddy.tracking.runs import get_search, list_ensembles, list_members
from tune_paddy.tracking.writing import set_tags, shown_value
from tune_paddy.training.inference import InferenceSettings

WEIGHTS = ("*/plain=1", "*/tta=2", "*convnext*/*=0")


@dataclass(frozen=True)
class Refitted:
    """A search's ensemble, and the folder of its refit."""

    ensemble: Ensemble
    folder: Path


@pytest.fixture(scope="module")
def refitted(finished: Finished, folded: SearchPlan) -> Refitted:
    runs = folded.folder.parent
    options = SelectionOptions(weights=WEIGHTS)
    ensemble = build_ensemble(finished.store, ["folded"], folder=folded.folder, options=options)
    with trained_here():
        refit_and_print(finished.store, ensemble, ["folded"], runs, Machine())
    return Refitted(ensemble, runs / "folded-refit")


def test_the_chosen_members_are_trained_on_all_labelled_images(
    finished: Finished, refitted: Refitted
) -> None:
    members = list_members(finished.store, "folded-refit")
    names = {
        view.member for view, w in zip(refitted.ensemble.pool.views, weights(refitted), strict=True) if w
    }
    assert {member.name for member in members} == names
    assert not any("convnext" in name for name in names)
    labelled = len(finished.plan.dataset.labelled)
    for member in members:
        assert member.metrics["train_images"] == round(0.8 * labelled)
    parent = get_search(finished.store, "folded-refit")
    assert parent.tags["tune_paddy.refit_of"] == "folded"
    assert parent.tags["tune_paddy.refit_of_ensemble"] == refitted.ensemble.run_id


def weights(refitted: Refitted) -> list[float]:
    """Return the ensemble weights of the selection."""
    return [float(weight) for weight in refitted.ensemble.selection.weights]


def test_the_submission_blends_them_with_the_same_weights_in_the_samples_order(
    finished: Finished, refitted: Refitted
) -> None:
    pool = load_pool(finished.store, ["folded-refit"])
    rows = {view.name: row for row, view in enumerate(pool.views)}
    mean = np.zeros(pool.test.shape[1:])
    for view, weight in zip(refitted.ensemble.pool.views, weights(refitted), strict=True):
        mean += weight * pool.test[rows[view.name]] if weight else 0
    written = pd.read_csv(refitted.folder / "submission.csv", dtype=str)
    sample = pd.read_csv(finished.plan.dataset.root / "sample_submission.csv", dtype=str)
    assert written["image_id"].tolist() == sample["image_id"].tolist()
    assert written["label"].tolist() == [pool.classes[code] for code in mean.argmax(axis=1)]
    described = json.loads((refitted.folder / "ensemble.json").read_text())
    assert [view["weight"] for view in described["views"]] == [w for w in weights(refitted) if w]
    assert described["refit"]["ensemble_run_id"] == refitted.ensemble.run_id


def test_no_score_on_training_images_is_shown_as_quality(finished: Finished, refitted: Refitted) -> None:
    for member in list_members(finished.store, "folded-refit"):
        assert "seen/plain/log_loss" in member.metrics
        scores = [name for name in member.metrics if name.rpartition("/")[2] in ("log_loss", "error_rate")]
        assert all(name.startswith("seen/") for name in scores)
    (ensemble,) = list_ensembles(finished.store, "folded-refit")
    assert not [name for name in ensemble.metrics if "loss" in name]
    assert refitted.ensemble.assessment
    estimate = shown_value("ensemble_log_loss", refitted.ensemble.assessment.estimate.score)
    assert (
        f"the ensemble selected from folded (run {refitted.ensemble.run_id}): log loss {estimate:.4f}"
        in (ensemble.tags["mlflow.note.content"])
    )


def test_refitted_members_are_exported_with_the_estimate_of_the_original_ensemble(
    finished: Finished, refitted: Refitted, tmp_path: Path
) -> None:
    collected = collect(finished.store, "folded-refit", runs=tmp_path)
    compared = check(collected, _staged(collected, tmp_path), InferenceSettings("cpu", threads=1))
    assert compared
    assert compared.difference < 1e-5
    assert refitted.ensemble.assessment
    assert collected.manifest.estimate
    assert collected.manifest.estimate.score == pytest.approx(
        refitted.ensemble.assessment.estimate.score, rel=1e-5
    )
    assert "before its members were trained again on all images" in collected.manifest.note
    rows = [row for row, weight in enumerate(weights(refitted)) if weight]
    np.testing.assert_array_equal(collected.select, refitted.ensemble.pool.select[rows])


def _staged(collected: Collected, folder: Path) -> Path:
    (folder / "staged").mkdir()
    collected.stage(folder / "staged", place=symlink)
    return folder / "staged"


@pytest.mark.usefixtures("refitted")
def test_members_that_saw_the_select_split_are_not_selected_from(finished: Finished, call: Call) -> None:
    uri = ["--tracking-uri", finished.store.tracking_uri]
    for names in (["folded-refit"], ["folded", "folded-refit"]):
        assert "'folded-refit' is a refit" in call("select", *names, *uri, status=2)
    pool = load_pool(finished.store, ["folded", "folded-refit"])
    assert len({view.member.partition(":")[0] for view in pool.views}) == 1
    assert "split" in pool.refused[0].reason


def test_a_second_call_trains_nothing_and_writes_the_submission_again(
    finished: Finished, refitted: Refitted
) -> None:
    before = (refitted.folder / "submission.csv").read_bytes()
    (refitted.folder / "submission.csv").unlink()
    refit_and_print(finished.store, refitted.ensemble, ["folded"], refitted.folder.parent, Machine())
    assert (refitted.folder / "submission.csv").read_bytes() == before
    attempts = {member.tags["tune_paddy.attempts"] for member in list_members(finished.store, "folded-refit")}
    assert attempts == {"1"}
    assert len(list_ensembles(finished.store, "folded-refit")) == 1


@pytest.mark.usefixtures("refitted")
def test_an_interrupted_refit_names_the_command_that_resumes_it(
    finished: Finished, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `select` the same command; after `search` its name, since the record remembers --refit."""

    def interrupt(*_: object, **__: object) -> None:
        raise SearchInterruptedError("search folded-refit was interrupted")

    monkeypatch.setattr("tune_paddy.search.refit.run_refit", interrupt)
    uri = ["--tracking-uri", finished.store.tracking_uri]
    select = ["select", "folded", "--refit", "all", *uri]
    text = call(*select, status=130)
    assert text.endswith(f"; to resume it: tune-paddy {shlex.join(select)}\n")
    resume = ["search", "--resume", "folded", *uri]
    text = call(*resume, "--folds", "2", "--refit", "all", status=130)
    assert text.endswith(f"; to resume it: tune-paddy {shlex.join(resume)}\n")


@pytest.fixture
def moved(finished: Finished, small_digits: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the dataset at its recorded path, which a test may change or remove."""
    copy = shutil.copytree(small_digits, tmp_path / "images")
    client, run = finished.store.client, get_search(finished.store, "first")
    set_tags(client, run.run_id, {"tune_paddy.dataset_path": str(copy)})
    yield copy
    set_tags(client, run.run_id, {"tune_paddy.dataset_path": run.tags["tune_paddy.dataset_path"]})


def test_a_missing_or_changed_dataset_is_refused(finished: Finished, moved: Path, call: Call) -> None:
    arguments = ["select", "first", "--refit", "all", "--tracking-uri", finished.store.tracking_uri]
    arguments += ["--method", "uniform"]
    first = min((moved / "train_images").rglob("*.png"))
    shutil.copy(min((moved / "test_images").rglob("*.png")), first)
    assert "holds other images or labels than when search 'first' began" in call(*arguments, status=2)
    shutil.rmtree(moved)
    assert f"no longer at {moved}" in call(*arguments, status=2)


def test_a_refit_of_anything_but_all_images_is_refused_at_once(call: Call, small_digits: Path) -> None:
    assert "'some' is not one of 'all'" in call("select", "any", "--refit", "some", status=2)
    arguments = ["search", str(small_digits), "--space", "digits_demo", "--refit", "some"]
    assert "'some' is not one of 'all'" in call(*arguments, status=2)


def test_a_recorded_ensemble_is_refitted_by_its_name(
    finished: Finished, refitted: Refitted, call: Call
) -> None:
    """Its members are trained already; the current ensemble stays what it is."""
    name = refitted.ensemble.name
    arguments = ["select", "folded", "--ensemble", name, "--refit", "all"]
    uri = ["--tracking-uri", finished.store.tracking_uri]
    text = call(*arguments, *uri, "--runs", str(refitted.folder.parent))
    assert f"{name} was selected before, and stays the current ensemble" in text
    assert "Submission of the refitted members: " in text
    assert "is a refit already" in call("select", "folded-refit", *arguments[2:], *uri, status=2)


@pytest.mark.documents("search DATA --space paddy_search --folds 5")
@pytest.mark.documents("select SEARCH --refit all")
def test_a_search_with_folds_ends_in_a_refit(finished: Finished, refitted: Refitted, call: Call) -> None:
    """The refit may be requested later, when the members are already trained."""
    (refitted.folder / "submission.csv").unlink()
    arguments = ["search", "--resume", "folded", "--folds", "2", "--refit", "all"]
    arguments += [word for weight in WEIGHTS for word in ("--weights", weight)]
    text = call(*arguments, "--tracking-uri", finished.store.tracking_uri)
    assert "Refit folded-refit: 1 member on all 150 labelled images" in text
    assert "Refitted members have seen every labelled image" in text
    assert len(load_pool(finished.store, ["folded"]).select_ids) == 150
    (member,) = list_members(finished.store, "folded-refit")
    assert member.metrics["train_images"] == 120
    written = pd.read_csv(refitted.folder / "submission.csv", dtype=str)
    assert len(written) == 20
