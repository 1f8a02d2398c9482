"""The commands export, predict and bundle."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Call
from tests.conftest import Exported, Finished


def table(text: str) -> list[dict[str, str]]:
    """Parse the CSV of a prediction; an empty line separates the summary from it."""
    return list(csv.DictReader(io.StringIO(text.partition("\n\n")[0])))


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
    arguments = ["predict", str(exported.folder), "*.png", "--out", "answers.csv", "--submission", "s.csv"]
    text = call(*arguments, status=1)
    assert "no submission was written, since it needs every image" in text
    assert not (tmp_path / "s.csv").exists()
    assert "1 of 2 images could not be read: broken.png: is not an image of a known format" in text
    for out in ([], ["--out", "none.csv"]):
        text = call("predict", str(exported.folder), "broken.png", *out, status=1)
        assert "1 of 1 image could not be read: " in text
        assert "nothing was written" in text
        assert "file,label" not in text
    assert not (tmp_path / "none.csv").exists()
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


REFUSED = """
import json, sys
from tune_paddy.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv[:] = ["tune-paddy", *arguments]
    print("command:", arguments, file=sys.stderr)
    try: main()
    except SystemExit as end: assert end.code == 2, (arguments, end.code)
    heavy = {"torch", "mlflow"} & set(sys.modules)
    assert not heavy, (arguments, heavy)
"""


def test_a_refusal_waits_neither_for_torch_nor_for_mlflow(finished: Finished, tmp_path: Path) -> None:
    """The commands run in one process, and each is refused in one line."""
    uri = ["--tracking-uri", finished.store.tracking_uri]
    commands = [
        ["predict", "nope", "x.png"],
        ["bundle", "nope", "here"],
        ["predict", ".", "x.png"],
        ["predict", "frist", "x.png", *uri],
        ["export", "first", "there", "--ensemble", "nope", *uri],
        ["use", "first", "nope", *uri],
    ]
    (tmp_path / "x.png").touch()
    (tmp_path / "here").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, json.dumps(commands)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stderr.split("command: ")[1:]
    assert [text.partition("\n")[0] for text in told] == list(map(str, commands))
    assert all(text.partition("\n")[2].startswith("error: ") for text in told)


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
    again = call("export", "first", "mine", "--register", "digits", *ensemble, *options)
    assert "Exported already: 3 members" in again
    assert "Registered: models:/digits/1" in again
    Path("other").mkdir()
    assert "already exists" in call("export", "first", "other", *options, status=2)


def test_a_search_predicts_by_its_name(finished: Finished, exported: Exported, call: Call) -> None:
    options = ["--tracking-uri", finished.store.tracking_uri, "--runs", str(finished.runs)]
    ensemble = ["--ensemble", exported.ensemble.name]
    (row,) = table(call("predict", "first", exported.images[0], *options, *ensemble))
    assert row["file"] == exported.images[0]
    assert float(row["probability"]) == pytest.approx(exported.expected[0].max(), abs=1e-5)
    assert "no search 'frist'" in call("predict", "frist", exported.images[0], *options, status=2)
    arguments = ["predict", str(exported.folder), exported.images[0], *ensemble]
    assert "--ensemble needs the name of a search" in call(*arguments, status=2)


def test_the_test_images_give_the_submission_of_the_search_a_summary_and_a_contact_sheet(
    finished: Finished, exported: Exported, call: Call, tmp_path: Path
) -> None:
    """The rows have the sample's order, whatever the order of the arguments."""
    uri = ["--tracking-uri", finished.store.tracking_uri]
    written = ["--out", "answers.csv", "--submission", "mine.csv", "--contact-sheet", "sheet.html"]
    text = call("predict", str(exported.folder), *reversed(exported.images), *written, *uri)
    assert exported.ensemble.submission
    assert (tmp_path / "mine.csv").read_bytes() == exported.ensemble.submission.read_bytes()
    assert "Submission: mine.csv: 20 rows" in text
    assert "Contact sheet: sheet.html: 20 images" in text
    counts = re.findall(r"^(\d) +(\d+) +[\d.]+ % +[\d.]+ %$", text, re.MULTILINE)
    labels = pd.read_csv(tmp_path / "mine.csv", dtype=str)["label"].value_counts()
    assert {label: int(count) for label, count in counts} == labels.to_dict()
    arguments = ["predict", str(exported.folder), *exported.images[:3], "--submission", "no.csv", *uri]
    assert "does not match sample_submission.csv: it lacks 17 images" in call(*arguments, status=2)


def test_a_name_like_that_of_an_export_is_suggested(exported: Exported, call: Call, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(exported.folder)
    image = exported.images[0]
    assert "did you mean the folder model?" in call("predict", "modle", image, status=2)
    similar = str(Path(image).with_name(f"x{Path(image).name}"))
    assert f"did you mean {image}" in call("predict", "model", similar, status=2)


@pytest.mark.documents("bundle SEARCH")
def test_a_bundle_is_named_after_its_search_and_only_a_repetition_may_find_it(
    finished: Finished, exported: Exported, call: Call, tmp_path: Path
) -> None:
    options = ["--ensemble", exported.ensemble.run_id, "--tracking-uri", finished.store.tracking_uri]
    assert "first-bundle" in call("bundle", "first", *options)
    assert (tmp_path / "first-bundle/kaggle_inference.ipynb").is_file()
    assert "Written already: bundle" in call("bundle", "first", *options)
    (tmp_path / "first-bundle/kaggle_inference.ipynb").unlink()
    assert "already exists" in call("bundle", "first", *options, status=2)
