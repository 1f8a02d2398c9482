"""Contents of an export, and refusals of damaged ones."""

import ast
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from tests.conftest import Exported, Finished
from tune_paddy.core.errors import InputError
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.ensemble.options import SelectionOptions
from tune_paddy.serving import selection_data
from tune_paddy.serving.card import describe
from tune_paddy.serving.collect import collect
from tune_paddy.serving.ensemble_model import EnsembleModel
from tune_paddy.serving.export import check, export
from tune_paddy.serving.manifest import read_manifest
from tune_paddy.serving.selection_data import read_select
from tune_paddy.tracking.writing import shown_value
from tune_paddy.training.inference import InferenceSettings


def exported_files(folder: Path) -> list[Path]:
    """Return the files of an export, without the byte code that Python leaves where a test has loaded it."""
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def inner(folder: Path) -> Path:
    return folder / "artifacts" / "ensemble"


def test_an_export_holds_safetensors_and_readable_text_but_no_pickle(exported: Exported) -> None:
    files = exported_files(exported.folder)
    kinds = {path.suffix for path in files if "code" not in path.relative_to(exported.folder).parts}
    assert kinds == {".json", ".md", ".npz", ".py", ".safetensors", ".txt", ".yaml", ""}
    assert not any(path.is_symlink() for path in files)
    for path in inner(exported.folder).rglob("*.safetensors"):
        with safe_open(path, "np") as file:
            assert list(file.keys())
    with np.load(inner(exported.folder) / "select.npz", allow_pickle=False) as file:
        assert file["probs"].shape == exported.ensemble.pool.select.shape


def test_the_model_code_only_imports_and_sets_a_model(exported: Exported) -> None:
    body = ast.parse((exported.folder / "model_code.py").read_text()).body[1:]  # after its docstring
    assert {type(node) for node in body[:-1]} == {ast.ImportFrom}
    assert ast.unparse(body[-1]) == "set_model(EnsemblePyfunc())"


def test_an_export_contains_no_path_of_this_machine(exported: Exported) -> None:
    for path in exported_files(exported.folder):
        if "code" not in path.relative_to(exported.folder).parts:
            content = path.read_bytes()
            assert str(exported.folder.parent).encode() not in content
            assert str(Path(__file__).parents[2]).encode() not in content


def test_only_members_with_weight_are_exported(
    finished: Finished, exported: Exported, tmp_path: Path
) -> None:
    best = build_ensemble(
        finished.store,
        ["first"],
        folder=tmp_path,
        options=SelectionOptions(method="best_single", metric="error_rate"),
    )
    collected = collect(finished.store, "first", runs=finished.runs, ensemble=best.run_id)
    (member,) = collected.manifest.members
    assert [view.weight for view in member.views].count(1.0) == 1
    assert len(collected.sources) == 1
    assert len(exported.collected.sources) == 3


@pytest.mark.parametrize(
    "options",
    [
        SelectionOptions(method="log_linear"),
        SelectionOptions(method="bagged_calibrated"),
        SelectionOptions(method="greedy", metric="error_rate"),
    ],
    ids=lambda options: options.method,
)
def test_every_rule_and_temperature_is_exported(
    finished: Finished, tmp_path: Path, options: SelectionOptions
) -> None:
    ensemble = build_ensemble(finished.store, ["first"], folder=tmp_path, options=options)
    collected = collect(finished.store, "first", runs=finished.runs, ensemble=ensemble.run_id)
    expected = ensemble.selection.blend(ensemble.pool.test)
    np.testing.assert_allclose(collected.test, expected, atol=1e-12)
    assert collected.manifest.rule == ensemble.selection.rule
    assert collected.manifest.temperature == ensemble.selection.temperature


def test_a_new_export_is_compared_with_the_submission(exported: Exported) -> None:
    compared = check(exported.collected, exported.folder, InferenceSettings("cpu", threads=1))
    assert compared
    assert compared.images == 8
    assert compared.difference < 1e-5
    gone = replace(exported.collected, test_paths={})
    assert check(gone, exported.folder, InferenceSettings("cpu")) is None


def test_the_card_shows_the_estimate_and_the_members(exported: Exported) -> None:
    card = (exported.folder / "README.md").read_text()
    assert exported.ensemble.assessment
    estimate = exported.ensemble.assessment.estimate
    score, low, high = (
        shown_value("ensemble_log_loss", value) for value in (estimate.score, estimate.low, estimate.high)
    )
    assert f"**{score:.4f}** ({low:.4f} to {high:.4f})" in card
    for member in exported.collected.manifest.members:
        assert f"| {member.name} | {member.arch} | 1 |" in card
    assert "mlflow models serve -m model " in card


def test_the_card_shows_the_licences_of_the_pretrained_weights(exported: Exported) -> None:
    """The members here were trained from nothing; older records do not say what they started from."""
    manifest = exported.collected.manifest
    assert {(member.licence, member.pretraining) for member in manifest.members} == {("none", "none")}
    card = (exported.folder / "README.md").read_text()
    for member in manifest.members:
        assert re.search(rf"\| {member.arch} \| none \| none \| .*{member.name}", card)
    old = [member.model_copy(update={"licence": "", "pretraining": ""}) for member in manifest.members]
    assert "| not recorded | not recorded |" in describe(
        manifest.model_copy(update={"members": old}), "model"
    )


def test_images_of_more_bits_than_those_of_the_training_are_reported(
    exported: Exported, tmp_path: Path
) -> None:
    """The ensemble knows no range of their values, and a guess must not be silent."""
    values = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32)
    for name, pixels in (("8.png", values), ("16.png", values.astype(np.uint16) * 16)):
        Image.fromarray(pixels).save(tmp_path / name)
    model = EnsembleModel(exported.folder, InferenceSettings("cpu", threads=1))
    assert model.predict([str(tmp_path / "8.png")]).notes == ()
    (note,) = model.predict([str(tmp_path / "8.png"), str(tmp_path / "16.png")]).notes
    assert note.startswith("1 image of more than 8 bits, each scaled by itself")


def test_the_card_names_a_metric_as_a_loss(exported: Exported) -> None:
    manifest = exported.collected.manifest
    assert manifest.estimate
    estimate = manifest.estimate.model_copy(update={"metric": "roc_auc"})
    card = describe(manifest.model_copy(update={"metric": "roc_auc", "estimate": estimate}), "model")
    assert f"Estimated 1 − ROC AUC: **{estimate.score:.4f}**" in card
    assert "for 1 − ROC AUC)" in card


def test_an_existing_folder_is_not_overwritten(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="already exists"):
        export(exported.collected, tmp_path / "mine")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_an_export_that_was_written_before_its_process_ended_stays_as_it_is(
    exported: Exported, tmp_path: Path
) -> None:
    folder = export(exported.collected, tmp_path / "mine")
    before = {path: path.stat().st_mtime_ns for path in exported_files(folder)}
    assert export(exported.collected, folder) == folder
    assert {path: path.stat().st_mtime_ns for path in exported_files(folder)} == before


@pytest.mark.parametrize("lacking", ["MLmodel", "artifacts/ensemble/members/01/weights.safetensors"])
def test_a_damaged_export_is_not_taken_for_a_complete_one(
    exported: Exported, tmp_path: Path, lacking: str
) -> None:
    folder = export(exported.collected, tmp_path / "mine")
    (folder / lacking).unlink()
    with pytest.raises(InputError, match="already exists"):
        export(exported.collected, folder)


def test_an_export_of_another_selection_is_not_taken_for_this_one(exported: Exported, tmp_path: Path) -> None:
    folder = export(exported.collected, tmp_path / "mine")
    other = exported.collected.manifest.model_copy(update={"ensemble_run_id": "another"})
    with pytest.raises(InputError, match="already exists"):
        export(replace(exported.collected, manifest=other), folder)


def test_missing_weights_files_are_reported_with_the_remedy(finished: Finished, exported: Exported) -> None:
    source = exported.collected.sources["members/01"]
    weights, hidden = source / "weights.safetensors", source / "hidden"
    weights.rename(hidden)
    try:
        with pytest.raises(InputError) as caught:
            collect(finished.store, "first", runs=finished.runs, ensemble=exported.ensemble.run_id)
    finally:
        hidden.rename(weights)
    message = str(caught.value)
    assert f"the weights files of 1 of 3 members are missing (the first should be in {source})" in message
    assert exported.collected.manifest.members[1].name in message
    assert "tune-paddy select first --refit all" in message
    assert "keep_weights" in message


def test_an_unknown_ensemble_is_refused(finished: Finished) -> None:
    with pytest.raises(InputError, match="has no ensemble 'none'"):
        collect(finished.store, "first", runs=finished.runs, ensemble="none")


@pytest.fixture
def recorded_file(finished: Finished, exported: Exported) -> Iterator[Path]:
    """The ensemble's file in the record, restored after the test."""
    uri: str = finished.store.client.get_run(exported.ensemble.run_id).info.artifact_uri
    path = Path(uri.removeprefix("file://")) / "ensemble.json"
    content = path.read_bytes()
    yield path
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"views": {0: {"view": "other"}}}, "cannot be exported: kind: .* 'plain', 'tta', .*; select again"),
        ({"views": {0: {"run_id": "0123"}}}, "is no valid ensemble: .* one member has two"),
        ({"split": "another"}, "split of 'first' differs between members and ensemble: select again"),
        ({"selection": {"temperature": 1e-300}}, "is no valid ensemble: selection.temperature"),
    ],
    ids=["view", "run", "split", "temperature"],
)
def test_an_altered_ensemble_of_the_record_is_refused_with_its_run(
    finished: Finished,
    exported: Exported,
    recorded_file: Path,
    changes: dict[str, Any],
    message: str,
) -> None:
    content = json.loads(recorded_file.read_text())
    for key, change in changes.items():
        if isinstance(change, str):
            content[key] = change
            continue
        for place, value in change.items():
            content[key][place] = {**content[key][place], **value} if isinstance(value, dict) else value
    recorded_file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as caught:
        collect(finished.store, "first", runs=finished.runs, ensemble=exported.ensemble.run_id)
    assert "\n" not in str(caught.value)
    assert "/tmp" not in str(caught.value)  # noqa: S108 no file that is gone by then


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return shutil.copytree(inner(exported.folder), tmp_path / "copy")


def test_a_missing_file_of_an_export_is_reported_with_its_member(exported: Exported, copy: Path) -> None:
    (copy / "members/02/weights.safetensors").unlink()
    name = exported.collected.manifest.members[2].name
    with pytest.raises(InputError, match=f"member {name} lacks .*weights.safetensors: it was deleted"):
        EnsembleModel(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format"),
        ({"surprise": 1}, "surprise"),
        ({"classes": ["0", "0"]}, "a class is named twice"),
        ({"temperature": 0}, "temperature"),
        ({"members": []}, "members"),
    ],
)
def test_an_invalid_manifest_is_refused(copy: Path, changes: dict[str, object], message: str) -> None:
    path = copy / "ensemble.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InputError, match=message) as caught:
        read_manifest(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["../elsewhere", "/etc", "members/../../x", "members/01/fold-x"])
def test_a_manifest_cannot_point_outside_its_folder(copy: Path, folder: str) -> None:
    path = copy / "ensemble.json"
    content = json.loads(path.read_text())
    content["members"][0]["folders"] = [folder]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="folders"):
        read_manifest(copy)


@pytest.mark.parametrize("name", ["ensemble.json", "select.npz"])
def test_a_pipe_or_a_terabyte_in_an_export_is_not_read(copy: Path, name: str) -> None:
    for make in (os.mkfifo, lambda path: os.truncate(path.touch() or path, 2**40)):
        (copy / name).unlink()
        make(copy / name)
        with pytest.raises(InputError, match=f"{name}: is (not a regular file|larger than)"):
            read_manifest(copy) if name == "ensemble.json" else read_select(copy, 6, 10)


def test_predictions_that_would_unpack_to_too_much_are_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(copy / "select.npz", probs=np.zeros((6, 50_000, 10)), labels=np.zeros(50_000))
    monkeypatch.setattr(selection_data, "MAX_MIB", 1)
    with pytest.raises(InputError, match="unpacks to more than 1 MiB"):
        read_select(copy, 6, 10)


def test_a_folder_without_an_export_is_refused_with_the_export_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no exported ensemble .*`tune-paddy export SEARCH DIR`"):
        EnsembleModel(tmp_path)


def test_the_card_says_how_an_answer_is_decided(exported: Exported) -> None:
    """Several labels are joined; grades may be decided by thresholds."""
    manifest = exported.collected.manifest
    several = describe(manifest.model_copy(update={"task": "multilabel"}), "model")
    assert "any number of labels: those with a probability above 0.5." in several
    graded = describe(manifest.model_copy(update={"task": "ordered", "thresholds": [0.5, 1.25]}), "model")
    assert "one grade an image, by thresholds on the expected grade (0.5, 1.25)." in graded
    assert "one class an image, the most probable one." in describe(manifest, "model")
