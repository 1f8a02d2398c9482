"""The memory command: one answer, for one member or a whole space, without a GPU."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tune_paddy.tracking.members import log_epoch, start_member, start_search
from tune_paddy.tracking.store import open_store


def test_the_notebooks_large_members_need_accum_2_on_kaggles_gpu(call: Call) -> None:
    rows = json.loads(call("memory", "road_to_the_top", "--gpu-memory", "16280", "--json"))
    assert len(rows) == 6
    for row in rows:
        assert (row["accum"], row["batch_size"], row["fits"]) == (2, 64, True)
        assert row["forecast_at_accum_1_mib"] > 16280 >= row["forecast_mib"] > row["raw_mib"]
        assert row["budget_mib"] == 16280


def test_a_single_question_is_answered_with_the_accum_that_was_asked(call: Call) -> None:
    arguments = ["--arch", "test_vit", "--size", "64,96", "--batch-size", "32", "--accum", "4"]
    (row,) = json.loads(call("memory", *arguments, "--gpu", "Tesla P100", "--json"))
    assert (row["arch"], row["size"], row["accum"], row["micro_batch"]) == ("test_vit", [64, 96], 4, 8)
    assert row["fraction"] == 0.125
    assert row["at_once"] == 8


def test_the_table_names_each_member_and_the_gpu(call: Call) -> None:
    text = call("memory", "digits_demo", "--gpu-memory", "16280")
    assert "16,280 MiB" in text
    assert "test_resnet" in text


def test_what_cannot_fit_is_a_sentence_and_exit_status_1(call: Call) -> None:
    arguments = ["memory", "--arch", "vit_large_patch16_224", "--gpu-memory", "3000"]
    text = call(*arguments, status=1)
    assert "1 of 1 do not fit 3,000 MiB: vit_large_patch16_224" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name either a search space or --arch"),
        (["digits_demo", "--arch", "test_vit"], "name either a search space or --arch"),
        (["digits_demo"], "--gpu-memory 16280"),
        (["digits_demo", "--gpu", "Voodoo"], "Voodoo"),
        (["--arch", "test_vit", "--size", "big", "--gpu-memory", "9000"], "--size 'big'"),
        (["--arch", "no_such_net", "--gpu-memory", "9000"], "no_such_net"),
        (["digits_demo", "--gpu-memory", "9000", "--share", "2"], "--share '2'"),
        (["calibrate", "--from-runs"], "mlflow.db"),
    ],
)
def test_questions_that_cannot_be_answered_are_bad_input(
    arguments: list[str], words: str, call: Call
) -> None:
    assert words in call("memory", *arguments, status=2)


def test_recorded_runs_sharpen_the_calibration(tmp_path: Path, call: Call) -> None:
    """Two members that were measured on a GPU give the line through both."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    store = open_store(uri, experiment="images", artifact_root=tmp_path / "artifacts", create=True)
    parent = start_search(store, name="measured")
    for member, raw in (("small", 1000.0), ("large", 9000.0)):
        run_id = start_member(store, search="measured", member=member, parent_run_id=parent, params={})
        measured = {"memory/raw_mib": raw, "memory/measured_mib": 500 + 1.1 * raw}
        log_epoch(store, run_id, measured, step=1)
    text = call("memory", "calibrate", "--from-runs", "--name", "ours", "--gpu", "Tesla P100")
    assert "ours: 500 MiB + 1.100 × the forecast" in text
    (row,) = json.loads(
        call("memory", "--arch", "test_vit", "--size", "64", "--gpu", "Tesla P100", "--share", "1", "--json")
    )
    assert row["forecast_mib"] == pytest.approx((500 + 1.1 * row["raw_mib"]) * 1.02, abs=0.2)
