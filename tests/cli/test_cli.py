"""The command line: complete searches, selections, data checks and refusals."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.commands import parse
from tests.cli.conftest import Call
from tests.conftest import Finished, rehearsed
from tests.search.here import trained_here
from tune_paddy.core.errors import InputError
from tune_paddy.spaces.space import find_space
from tune_paddy.training.forecast import planning


@pytest.mark.documents("search DATA --space road_to_the_top --stand-ins")
def test_a_search_rehearses_the_notebooks_six_members_and_counts_the_vits_twice(
    finished: Finished, tmp_path: Path, call: Call
) -> None:
    data = finished.plan.dataset.root
    space = find_space("road_to_the_top").read_text(encoding="utf-8")
    assert "epochs: 12" in space
    (tmp_path / "road.yaml").write_text(rehearsed(space), encoding="utf-8")
    arguments = [
        "search",
        str(data),
        "--space",
        "road.yaml",
        "--stand-ins",
        "--name",
        "road",
        "--concurrency",
        "1",
    ]
    record = ["--tracking-uri", finished.store.tracking_uri]
    with trained_here():
        text = call(*arguments, *record, "--weights", "*vit*=2", "--verbose")
    assert "6 of 6 members finished" in text
    assert "tta views: 6 of 6 chosen" in text
    assert f"\nBrowse:     tune-paddy ui road --tracking-uri {finished.store.tracking_uri}\n" in text
    described = pd.read_json(tmp_path / "runs/road/ensemble.json", typ="series")
    weights = {f"{view['member']}/{view['view']}": view["weight"] for view in described["views"]}
    vits = [weight for name, weight in weights.items() if "vit" in name and name.endswith("/tta")]
    others = [weight for name, weight in weights.items() if "vit" not in name and name.endswith("/tta")]
    assert len(vits) == 2
    assert len(others) == 4
    assert vits == pytest.approx([0.25] * 2)
    assert others == pytest.approx([0.125] * 4)
    written = pd.read_csv(tmp_path / "runs/road/submission.csv", dtype=str)
    sample = pd.read_csv(data / "sample_submission.csv", dtype=str)
    assert written["image_id"].tolist() == sample["image_id"].tolist()


@pytest.mark.documents("search DATA --space paddy_search --dry-run")
def test_a_dry_run_prints_the_first_trials_and_writes_nothing(
    small_digits: Path, tmp_path: Path, call: Call
) -> None:
    text = call("search", str(small_digits), "--space", "road_to_the_top", "--dry-run")
    assert "0000-convnext_large-320x224" in text
    assert "Each trial: 2 CPUs, 1 GPU. The first" in text
    assert [path.name for path in tmp_path.iterdir()] in ([], ["cache"])


def test_a_dry_run_shows_the_licences_of_the_weights_and_what_they_exclude(
    small_digits: Path, tmp_path: Path, call: Call
) -> None:
    closed, free = "convnextv2_atto.fcmae_ft_in1k", "test_resnet.r160_in1k"
    space = tmp_path / "mixed.yaml"
    space.write_text(f"recipes:\n  - {{arch: {closed}}}\n  - {{arch: {free}}}\n")
    arguments = ["search", str(small_digits), "--space", str(space), "--dry-run", "--timing", "0"]
    text = call(*arguments)
    assert re.search(rf"{closed} +│ cc-by-nc-4\.0 +│ ImageNet-1k +│ {closed}", text)
    text = call(*arguments, "--licences", "commercial")
    assert f"`licences: commercial` leaves out {closed} (cc-by-nc-4.0 forbids commercial use)" in text
    assert re.search(rf"{free} +│ apache-2\.0 +│ ImageNet-1k", text)
    space.write_text(f"search: {{licences: commercial}}\nrecipes:\n  - {{arch: {closed}}}\n")
    assert "`licences: commercial` leaves nothing to train" in call(*arguments, status=2)


@pytest.mark.documents("select SEARCH --metric error_rate")
def test_select_prints_members_weights_and_rivals(finished: Finished, call: Call) -> None:
    arguments = ["select", "first", "--tracking-uri", finished.store.tracking_uri, "--metric", "error_rate"]
    text = call(*arguments, "--method", "greedy", "--out", "here")
    names = ("0000-test_resnet-32", "best single member", "uniform average")
    for words in (*names, "Submission: here/submission.csv\n", "Report:     here/report.html\n"):
        assert words in text
    assert f"\nBrowse:     tune-paddy ui first --tracking-uri {finished.store.tracking_uri}\n" in text
    assert "Submit" not in text, "the images are of no competition"


@pytest.mark.documents("use SEARCH ENSEMBLE")
@pytest.mark.documents("select SEARCH --metric error_rate --name errors")
@pytest.mark.documents("show SEARCH --ensemble ENSEMBLE")
@pytest.mark.documents("report SEARCH --ensemble ENSEMBLE")
def test_an_ensemble_is_selected_listed_and_made_current_by_its_name(
    finished: Finished, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each command also takes the beginning of a run id, and suggests a name for a mistyped one."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", finished.store.tracking_uri)
    call("select", "first", "--weights", "*/plain=1")
    text = call("select", "first", "--weights", "*=0", "--weights", "0000-*=1", "--name", "one member")
    if "kept as" in text:  # as a rule, but a trained network may be the best alone
        assert "make it current with: tune-paddy use first 'one member'" in text
    assert "is the current ensemble of first" in call("use", "first", "one member")
    shown = call("show", "first", "--ensemble", "by-hand")
    assert re.search(r"^→ +one member +fixed, log loss", shown, re.MULTILINE)
    assert "Ensemble by-hand: log loss" in shown
    for name in ("ensembles/one member", "."):
        assert (tmp_path / "runs/first" / name / "submission.csv").is_file()
    report = "'runs/first/ensembles/one member/report.html'\n"
    assert call("report", "first", "--no-open", "-e", "one member") == report
    assert "did you mean 'one member'?" in call("use", "first", "one mmber", status=2)
    assert "--ensemble names one that is already selected" in call("select", "first", "-e", "x", status=2)
    assert "there is another ensemble 'one member'; choose another --name" in call(
        "select", "first", "--weights", "*=0", "--weights", "0001-*=1", "--name", "one member", status=2
    )


def test_verbose_prints_how_the_ensemble_was_selected(finished: Finished, call: Call) -> None:
    """The tables precede the verdict and the rest, which is the same with and without them."""
    arguments = ["select", "first", "--tracking-uri", finished.store.tracking_uri]
    call(*arguments)  # so that both of the others select the same ensemble again
    short, long = (call(*arguments, *flag) for flag in ([], ["--verbose"]))
    assert parse(["select", "first", "-v"]) == parse(["select", "first", "--verbose"])
    assert long.endswith(short)
    for words in (
        "Methods, cross-fitted",
        "What time buys",
        "On images it was not selected on",
        "plain views",
    ):
        assert words not in short
        assert words in long


def test_paths_with_spaces_are_quoted(finished: Finished, call: Call) -> None:
    arguments = ["select", "first", "--tracking-uri", finished.store.tracking_uri, "--out", "my night"]
    text = call(*arguments)
    assert "\nReport:     'my night/report.html'\n" in text


def test_a_budget_too_small_for_any_member_is_refused_with_the_option_and_the_minimum(
    finished: Finished, call: Call
) -> None:
    arguments = ["select", "first", "--tracking-uri", finished.store.tracking_uri, "--max-minutes", "1e-9"]
    text = call(*arguments, status=2)
    words = r"within the budget: --max-minutes 1e-09: the fastest, \d+-test_\w+-32, takes \S+ minutes\n"
    assert re.search(words, text)


@pytest.mark.documents("data check DATA")
def test_check_counts_images_and_classes(small_digits: Path, call: Call) -> None:
    text = call("data", "check", str(small_digits))
    assert "150 labelled images of 10 classes, 20 to predict" in text
    assert "\n  layout: a table of labels, images in train_images\n" in text
    assert "\n  labels: train.csv, column label; images by column image_id\n" in text
    assert "\n  classes: 0 15, 1 15, 2 15," in text
    assert "\n  to predict: as sample_submission.csv lists\n" in text
    assert "\n  left out: 1 × table (list of images to predict): test_labels.csv\n" in text


@pytest.mark.documents("data push DATA STORAGE")
def test_push_uploads_the_images_once(small_digits: Path, tmp_path: Path, call: Call) -> None:
    storage = tmp_path / "storage"
    text = call("data", "push", str(small_digits), str(storage))
    assert re.search(rf"{storage} has the 170 images of dataset \w+; [1-9]\d+ uploaded now", text)
    assert "; 0 uploaded now" in call("data", "push", str(small_digits), str(storage))


def test_the_options_of_reading_say_what_is_meant(small_digits: Path, call: Call) -> None:
    """The names of the folders are read instead of the table, also those of the images to predict."""
    text = call("data", "check", str(small_digits), "--labels", "folders", "--images", "train_images")
    assert "150 labelled images of 10 classes, 20 to predict" in text
    assert "  labels: names of the folders\n" in text
    text = call("data", "check", str(small_digits), "--label-column", "kind", status=2)
    assert "no column is called kind (--label-column); the columns are image_id, label" in text


def test_help_and_version_import_nothing_heavy(tmp_path: Path, call: Call) -> None:
    script = (
        "import sys, tune_paddy.cli\n"
        "heavy = {'torch', 'ray', 'fastai', 'timm', 'mlflow', 'pandas', 'optuna'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    for command in (
        [],
        ["demo"],
        ["search"],
        ["select"],
        ["submit"],
        ["show"],
        ["report"],
        ["use"],
        ["ui"],
        ["weights", "fetch"],
        ["data", "check"],
    ):
        text = call(*command, "--help")
        assert not command or "Example: tune-paddy" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", "nowhere", "--space", "digits_demo"], "nowhere"),
        (["search", ".", "--space", "no-such-space"], "no-such-space"),
        (["search", ".", "--space", "digits_demo"], "neither folders nor a table give labels"),
        (["select", "no-such-search"], "mlflow.db"),
        (["submit", "none.csv"], "there is no file none.csv"),
        (["data", "check", "nowhere"], "nowhere"),
        (["search"], "give DATA and --minutes or --space"),
        (["search", "."], "give DATA and --minutes or --space"),
        (["search", ".", "--minutes", "3", "--hours", "1"], "--hours 1: --minutes 3 says the same"),
        (["search", ".", "--minutes", "3", "--ray-address", "a:1"], "for this machine alone; give --space"),
        (["search", "--resume", "no-such-search"], "mlflow.db"),
        (
            ["search", ".", "--space", "digits_demo", "--metric", "accuracy"],
            "--metric 'accuracy': choose one of log_loss",
        ),
        (["search", ".", "--space", "digits_demo", "--weights", "vit"], "write PATTERN=WEIGHT"),
        (["select", "mine", "--weights", "vit"], "--weights 'vit': write PATTERN=WEIGHT"),
        (["select", "mine", "--name", "a/b"], "ensemble 'a/b': use up to 200 letters"),
        (["predict", "model", "photos", "--device", "tpu"], "--device 'tpu': use auto, cpu, cuda, cuda:1 or"),
        (["export", "mine", "model", "--device", "cuda:x"], "--device 'cuda:x': use auto, cpu, cuda, cuda:1"),
        (["data", "check", ".", "--id-column", ""], "--id-column is empty: give a name, or leave it out"),
        (["data", "check", "."], "sort the images into a folder per class, or add a table"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(arguments: list[str], words: str, call: Call) -> None:
    assert words in call(*arguments, status=2)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--trials", "0", "--minutes", "-1"], "--trials: 0 should be greater than or equal to 1\n"),
        (["--gpu", "2"], "--gpu: 2 should be 'auto' or up to 1: a member trains on one GPU"),
        (["--folds", "1"], "--folds: 1 should be at least 2, or 0 for a select split\n"),
        (["--gpu-memory", "-1"], "--gpu-memory: -1.0 should be greater than 0"),
    ],
)
def test_a_setting_out_of_bounds_is_refused_with_its_option(flags: list[str], words: str, call: Call) -> None:
    assert words in call("search", ".", "--space", "digits_demo", *flags, status=2)


def test_a_submission_without_credentials_names_what_is_missing(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "submission.csv").write_text("image_id,label\na.jpg,blast\n")
    told = call("submit", "submission.csv", "--competition", "rice", "--yes", status=2)
    assert "KAGGLE_USERNAME" in told


def test_missing_pretrained_weights_are_refused_before_the_search_starts(
    small_digits: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.yaml").write_text("recipes: [{arch: test_resnet, size: 32}]")
    arguments = ["search", str(small_digits), "--space", "mine.yaml"]
    assert "the pretrained weights of test_resnet are not on this machine" in call(*arguments, status=2)
    assert "no folder nowhere" in call(*arguments, "--weights-dir", "nowhere", status=2)
    assert not list(tmp_path.glob("mlflow.db*"))
    text = call("weights", "fetch", "mine.yaml", status=1)
    assert "1 of the pretrained weights are neither in weights nor" in text


def test_weights_that_the_licences_leave_out_are_not_fetched(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mixed.yaml").write_text("recipes: [{arch: [test_resnet, convnextv2_atto.fcmae_ft_in1k]}]")
    assert "2 of the pretrained weights are neither" in call("weights", "fetch", "mixed.yaml", status=1)
    text = call("weights", "fetch", "mixed.yaml", "--licences", "commercial", status=1)
    assert "`licences: commercial` leaves out convnextv2_atto.fcmae_ft_in1k (cc-by-nc-4.0" in text
    assert "1 of the pretrained weights are neither" in text


def test_a_taken_name_is_refused(small_digits: Path, tmp_path: Path, call: Call) -> None:
    (tmp_path / "runs/mine/members").mkdir(parents=True)
    arguments = ["search", str(small_digits), "--space", "digits_demo", "--name", "mine"]
    assert "there is a search 'mine'" in call(*arguments, status=2)


def test_a_name_taken_only_in_the_record_is_refused(finished: Finished, call: Call) -> None:
    arguments = ["search", str(finished.plan.dataset.root), "--space", "digits_demo", "--name", "first"]
    uri = finished.store.tracking_uri
    text = call(*arguments, "--tracking-uri", uri, status=2)
    resume = f"tune-paddy search --resume first --tracking-uri {uri}"
    assert f"search 'first' already exists; to resume it: {resume}; or choose another --name" in text


def test_ensemble_weights_for_impossible_members_are_refused_before_the_training(
    small_digits: Path, tmp_path: Path, call: Call
) -> None:
    arguments = ["search", str(small_digits), "--space", "digits_demo", "--weights", "zzz=2"]
    assert "--weights: 'zzz' matches no member; the architectures are test_" in call(*arguments, status=2)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("gpu", "row"), [("0.5", r" 0\.5 │ \? +│ \? "), ("auto", r" \? +│ \? +│ \? ")])
def test_a_dry_run_without_a_gpu_shows_settings_and_question_marks(
    gpu: str, row: str, small_digits: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_gpu_at_hand", no_gpu)
    text = call("search", str(small_digits), "--space", "digits_demo", "--dry-run", "--gpu", gpu)
    assert "No forecasts (?): nothing at hand" in text
    assert f"The first {len(re.findall(row, text))}:" in text


def test_a_dry_run_says_how_long_the_trials_take_on_this_machine(small_digits: Path, call: Call) -> None:
    arguments = ["search", str(small_digits), "--space", "digits_demo", "--dry-run", "--gpu", "0"]
    text = call(*arguments, "--timing", "0.001", "--concurrency", "1")
    assert re.search(r"6 trials, 1 at once: about .+ on this machine \(.+ to .+\)", text)
    assert re.search(r"1 of \d kinds of members timed; the others by their number of operations", text)


def test_a_dry_run_with_a_time_limit_says_how_many_members_it_buys_and_which_are_certain(
    small_digits: Path, call: Call
) -> None:
    arguments = ["search", str(small_digits), "--space", "digits_demo", "--dry-run", "--gpu", "0"]
    text = call(*arguments, "--timing", "0.001", "--concurrency", "1", "--minutes", "0.3", "--trials", "200")
    assert re.search(r"`minutes` is 0\.3: about \d+ members? end in time \(\d+ to \d+\)", text)
    assert re.search(
        r"The first \d, and \d examples, since the ensemble decides which sub-space is next:", text
    )


def test_a_dry_run_of_a_resumed_search_shows_what_it_has_left(finished: Finished, call: Call) -> None:
    uri = ["--tracking-uri", finished.store.tracking_uri, "--gpu", "0", "--timing", "0"]
    arguments = ["search", "--resume", "first", "--dry-run", *uri]
    assert "No trial is left: the trials or the time of the search are used up" in call(*arguments)
    text = call(*arguments, "--trials", "6")
    assert "The next 2:" in text
    assert re.findall(r"^│ (\d{4})-", text, re.MULTILINE) == ["0004", "0005"]


def test_a_dry_run_without_the_gpu_that_trials_need_has_no_forecast_of_time(
    small_digits: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_gpu_at_hand", no_gpu)
    text = call("search", str(small_digits), "--space", "digits_demo", "--dry-run", "--gpu", "1")
    assert "no forecast of time: the trials need a GPU, and this machine has none" in text


def no_gpu() -> tuple[str, float]:
    raise InputError("nothing at hand")


def test_a_dry_run_shows_each_trials_share_of_a_gpu(small_digits: Path, call: Call) -> None:
    arguments = ["search", str(small_digits), "--space", "digits_demo", "--dry-run", "--gpu", "auto"]
    text = call(*arguments, "--gpu-memory", "16280")
    assert "0.125" in text
    assert "label_smoothing=" in text
