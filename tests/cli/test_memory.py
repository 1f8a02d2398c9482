"""The memory command: forecasts for one member or a whole space, without a GPU."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Call
from tune_paddy.core.errors import InputError
from tune_paddy.tracking.members import log_epoch, start_member
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import open_store
from tune_paddy.tracking.writing import finish_run
from tune_paddy.training.forecast import planning


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the GPU of a machine that has one."""

    def no_driver() -> None:
        raise InputError("NVIDIA's driver does not respond")

    monkeypatch.setattr(planning, "load_nvml", no_driver)


def rows_of(text: str) -> list[dict[str, Any]]:
    """Parse the JSON of standard output; lines of progress on standard error may follow."""
    rows: list[dict[str, Any]] = json.JSONDecoder().raw_decode(text)[0]
    return rows


def test_the_notebooks_large_members_need_accum_2_on_kaggles_gpu(call: Call) -> None:
    rows = rows_of(call("memory", "road_to_the_top", "--gpu-memory", "16280", "--json"))
    assert len(rows) == 6
    for row in rows:
        assert (row["accum"], row["batch_size"], row["fits"]) == (2, 64, True)
        assert row["forecast_at_accum_1_mib"] > 16280 >= row["forecast_mib"] > row["raw_mib"]
        assert row["budget_mib"] == 16280


def test_a_single_member_is_forecast_with_the_given_accum(call: Call) -> None:
    arguments = ["--arch", "test_vit", "--size", "64,96", "--batch-size", "32", "--accum", "4"]
    (row,) = rows_of(call("memory", *arguments, "--gpu", "Tesla P100", "--json"))
    assert (row["arch"], row["size"], row["accum"], row["micro_batch"]) == ("test_vit", [64, 96], 4, 8)
    assert row["fraction"] == 0.125
    assert row["at_once"] == 8


def test_the_table_names_each_member_and_the_gpu(call: Call) -> None:
    text = call("memory", "digits_demo", "--gpu-memory", "16280", "--timing", "0")
    assert "16,280 MiB" in text
    assert any(line.split()[:2] == ["resnet", "test_resnet"] for line in text.splitlines())


def test_members_that_the_licences_leave_out_are_not_forecast(call: Call, tmp_path: Path) -> None:
    """The setting of the space counts if the option is not given."""
    archs = "recipes: [{arch: [test_resnet, convnextv2_atto.fcmae_ft_in1k], size: 32}]"
    (tmp_path / "any.yaml").write_text(archs)
    (tmp_path / "set.yaml").write_text(f"search: {{licences: commercial}}\n{archs}")
    common = ("--gpu-memory", "16280", "--timing", "0")
    note = "`licences: commercial` leaves out convnextv2_atto.fcmae_ft_in1k (cc-by-nc-4.0"
    for space, options in (("any.yaml", ("--licences", "commercial")), ("set.yaml", ())):
        text = call("memory", space, *common, *options)
        assert note in text
        assert len(rows_of(call("memory", space, *common, *options, "--json"))) == 1
    assert note not in call("memory", "set.yaml", *common, "--licences", "any")


def test_the_time_says_where_it_comes_from(call: Call, tmp_path: Path) -> None:
    """Two kinds; the limit leaves time for the cheaper one."""
    space = (
        "recipes: [{arch: test_vit, size: 32, batch_size: 4}, {arch: test_resnet, size: 32, batch_size: 4}]"
    )
    (tmp_path / "two.yaml").write_text(f"search: {{gpu: 0}}\ndefaults: {{pretrained: false}}\n{space}\n")
    arguments = ["memory", "two.yaml", "--gpu-memory", "9000", "--timing", "0.001", "--n-images", "500"]
    rows = rows_of(call(*arguments, "--json"))
    assert sorted(row["time_from"] for row in rows) == ["operations", "timed"]
    assert all(0 < row["seconds_per_epoch"] < row["seconds"] for row in rows)
    text = call(*arguments)
    assert (
        "Time on this machine's CPU, 1 thread: 500 labelled images, 20 % of them in the select split" in text
    )
    assert "timed: from steps that were timed now" in text
    assert "operations: rough" in text


def test_a_space_for_a_gpu_has_no_time_without_one_and_says_what_to_do(call: Call) -> None:
    text = call("memory", "--arch", "test_vit", "--size", "64", "--gpu-memory", "9000")
    assert "No time for 1 of 1 member: this machine has no GPU; name one, such as --gpu 'Tesla P100'" in text
    text = call("memory", "--arch", "test_vit", "--size", "64", "--gpu", "Tesla P100")
    assert "No time for 1 of 1 member: " in text


def test_a_member_that_does_not_fit_is_one_line_and_exit_status_1(call: Call) -> None:
    arguments = ["memory", "--arch", "vit_large_patch16_224", "--gpu-memory", "3000"]
    text = call(*arguments, status=1)
    assert "3,000 MiB are too little for 1 of 1 member: vit_large_patch16_224" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name either a search space or --arch"),
        (["--arch", "test_resnet", "--batch-size", "0"], "'--batch-size': Input should be greater"),
        (["digits_demo", "--arch", "test_vit"], "name either a search space or --arch"),
        (["digits_demo"], "--gpu-memory 16280"),
        (["digits_demo", "--gpu", "Voodoo"], "Voodoo"),
        (["--arch", "test_vit", "--size", "big", "--gpu-memory", "9000"], "--size 'big'"),
        (["--arch", "no_such_net", "--gpu-memory", "9000"], "no_such_net"),
        (["digits_demo", "--gpu-memory", "9000", "--share", "2"], "--share '2'"),
        (["digits_demo", "--gpu-memory", "inf"], "above 0, in MiB, not inf"),
        (["digits_demo", "--gpu-memory", "9000", "--n-classes", "-1"], "among -1 classes"),
        (["calibrate", "--from-runs"], "mlflow.db"),
    ],
)
def test_invalid_arguments_are_bad_input(arguments: list[str], words: str, call: Call) -> None:
    assert words in call("memory", *arguments, status=2)


GPU = {"device": "cuda", "gpu": "Tesla P100-PCIE-16GB", "torch": "2.15.0", "cuda": "13.2", "driver": "580"}


def record(folder: Path, members: list[tuple[float, dict[str, str]]]) -> None:
    """Record members with these raw footprints and tags, measured at 500 MiB plus 1.1 times the raw."""
    uri = f"sqlite:///{folder}/mlflow.db"
    store = open_store(uri, experiment="images", artifact_root=folder / "artifacts", create=True)
    parent = start_search(store, name="measured")
    for number, (raw, tags) in enumerate(members):
        run_id = start_member(
            store, search="measured", member=f"m{number}", parent_run_id=parent, params={}, tags=tags
        )
        measured = {"memory/measured_mib": 500 + 1.1 * raw} | ({"memory/raw_mib": raw} if raw else {})
        log_epoch(store, run_id, measured, step=1)
        finish_run(store, run_id, "FINISHED")


def test_recorded_runs_calibrate_their_gpu_and_software(tmp_path: Path, call: Call) -> None:
    """Two members on one stack determine the line through both; another driver has its own calibration."""
    own = {**GPU, "memory_source": "process"}
    newer = {**own, "driver": "590", "memory_source": "alone"}
    unusable = [
        (5000.0, {**GPU, "memory_source": "assumed"}),
        (5000.0, {"device": "cpu", "torch": "2.15.0"}),
        (0.0, own),
    ]
    record(tmp_path, [(1000.0, own), (9000.0, own), (3000.0, newer), *unusable])
    text = call("memory", "calibrate", "--from-runs")
    name = "Tesla P100-PCIE-16GB, torch 2.15.0, cuda 13.2, driver"
    assert f"{name} 580: 500 MiB + 1.100 × the forecast, margin 2.0%, from 2 members" in text
    assert f"{name} 590: 605 MiB + 1.065 × the forecast, margin 2.0%, from 1 member" in text
    for reason in (
        "1 not measured apart from other processes on the GPU",
        "1 not trained on a CUDA GPU",
        "1 finished with another accum than the forecast's",
    ):
        assert f"Left out: {reason}" in text
    arguments = ["--arch", "test_vit", "--size", "64", "--gpu", "Tesla P100", "--share", "1", "--json"]
    (row,) = rows_of(call("memory", *arguments, "--calibration", f"{name} 580"))
    assert row["forecast_mib"] == pytest.approx((500 + 1.1 * row["raw_mib"]) * 1.02, abs=0.2)
    assert "would name 2 calibrations" in call(
        "memory", "calibrate", "--from-runs", "--name", "ours", status=2
    )
    text = call("memory", "calibrate", "--from-runs", "--gpu", "Tesla T4", status=2)
    assert "5 trained on another GPU; 1 not trained on a CUDA GPU" in text


def test_the_plan_warns_of_batch_norm_with_few_images_at_a_time(call: Call) -> None:
    arguments = ["memory", "--arch", "resnet50", "--gpu-memory", "1500", "--batch-size", "64"]
    words = "resnet50: batch norm sees 4 images at a time, since accum is 16: its statistics are noisy"
    assert words in " ".join(call(*arguments).split())
    (row,) = rows_of(call(*arguments, "--json"))
    assert row["warning"].startswith("batch norm sees 4 images")
    (row,) = rows_of(call("memory", "--arch", "resnet50", "--gpu-memory", "16280", "--json"))
    assert row["warning"] is None
