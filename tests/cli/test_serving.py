"""The commands export, predict and bundle."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Call
from tests.conftest import Exported, Finished


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.documents("predict model photos/ --out answers.csv")
def test_predict_prints_a_csv_with_the_three_most_probable_classes(exported: Exported, call: Call) -> None:
    folder = str(Path(exported.images[0]).parent)
    rows = table(call("predict", str(exported.folder), folder, "--device", "cpu"))
    assert [row["file"] for row in rows] == sorted(exported.images)
    submission = pd.read_csv(exported.ensemble.folder / "submission.csv", dtype=str)
    labels = dict(submission.itertuples(index=False))
    assert all(row["label"] == labels[Path(row["file"]).name] for row in rows)
    for row, file in enumerate(exported.images):
        got = next(float(found["probability"]) for found in rows if found["file"] == file)
        assert got == pytest.approx(exported.expected[row].max(), abs=1e-5)
    for row in rows:
        first, second, third = (float(row[f"{name}probability"]) for name in ("", "second_", "third_"))
        assert first >= second >= third
        assert len({row["label"], row["second"], row["third"]}) == 3


def test_images_that_cannot_be_read_are_listed_and_the_others_predicted(
    exported: Exported, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_text("no image")
    (tmp_path / "good.png").write_bytes(Path(exported.images[0]).read_bytes())
    text = call("predict", str(exported.folder), "*.png", "--out", "answers.csv", status=1)
    assert "1 of 2 images could not be read: broken.png: is not an image of a known format" in text
    assert [row["file"] for row in table((tmp_path / "answers.csv").read_text())] == ["good.png"]


@pytest.mark.parametrize("images", ["nothing*", "no-folder/", "empty", "pipe", "p*", "loop", "device"])
def test_arguments_that_match_no_image_are_refused(call: Call, tmp_path: Path, images: str) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "device").symlink_to("/dev/zero")
    assert f"{images}: holds no image" in call("predict", "model", images, status=2)


def test_an_empty_argument_is_not_the_working_folder(call: Call, tmp_path: Path) -> None:
    (tmp_path / "photo.png").touch()
    assert "an image argument is empty" in call("predict", "model", "", status=2)


def test_an_unknown_device_is_refused_before_anything_is_written(
    finished: Finished, call: Call, tmp_path: Path
) -> None:
    options = ["--tracking-uri", finished.store.tracking_uri, "--runs", str(finished.runs)]
    assert "device 'foo'" in call("export", "first", "mine", "--device", "foo", *options, status=2)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    "command", [["predict", "nope", "x.png"], ["bundle", "nope", "here"], ["predict", ".", "x.png"]]
)
def test_a_refusal_does_not_wait_for_torch(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "x.png").touch()
    (tmp_path / "here").mkdir()
    program = (
        "import sys; from tune_paddy.cli import main; sys.argv[0] = 'tune-paddy'\n"
        "try: main()\nfinally: assert 'torch' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")


@pytest.mark.documents("export SEARCH model")
def test_a_registered_export_is_found_by_its_address(
    finished: Finished, exported: Exported, call: Call
) -> None:
    options = ["--tracking-uri", finished.store.tracking_uri, "--runs", str(finished.runs)]
    ensemble = ["--ensemble", exported.ensemble.run_id]
    text = call("export", "first", "mine", "--register", "digits", *ensemble, *options)
    assert "Exported 3 members" in text
    assert "Compared with the submission on 8 images: largest difference" in text
    assert "expected if device or precision differ" not in text
    assert "Registered: models:/digits/1" in text
    registered = call("predict", "models:/digits/1", exported.images[0], *options[:2])
    assert table(registered) == table(call("predict", "mine", exported.images[0]))
    assert "already exists" in call("export", "first", "mine", *options, status=2)


def test_a_search_predicts_by_its_name(finished: Finished, exported: Exported, call: Call) -> None:
    options = ["--tracking-uri", finished.store.tracking_uri, "--runs", str(finished.runs)]
    (row,) = table(call("predict", "first", exported.images[0], *options))
    assert row["file"] == exported.images[0]
    assert "no search 'frist'" in call("predict", "frist", exported.images[0], *options, status=2)


@pytest.mark.documents("bundle SEARCH")
def test_a_bundle_is_named_after_its_search_and_not_overwritten(
    finished: Finished, exported: Exported, call: Call, tmp_path: Path
) -> None:
    options = ["--ensemble", exported.ensemble.run_id, "--tracking-uri", finished.store.tracking_uri]
    assert "first-bundle" in call("bundle", "first", *options)
    assert (tmp_path / "first-bundle/kaggle_inference.ipynb").is_file()
    assert "already exists" in call("bundle", "first", *options, status=2)
