"""The command line as a person meets it: whole jobs in a process of their own, questions in this one."""

import json
import os
import re
import select
import shlex
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.commands import parse
from tests.cli.conftest import Call
from tests.conftest import Finished
from tune_paddy.cli import search
from tune_paddy.core.errors import InputError
from tune_paddy.data.samples import TEST_LABELS, score_submission
from tune_paddy.data.space import find_space
from tune_paddy.data.submission import check_submission
from tune_paddy.training import planning

PROGRAM = [sys.executable, "-c", "from tune_paddy.cli import main; main()"]


def run(*arguments: str, cwd: Path, status: int = 0) -> str:
    """Run `tune-paddy` in a process and a folder of its own; return what it printed."""
    environment = {**os.environ, "COLUMNS": "250", "NO_COLOR": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        [*PROGRAM, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    text = done.stdout + done.stderr
    assert done.returncode == status, text
    assert "Traceback" not in text
    return text


def run_on_a_terminal(*arguments: str, cwd: Path, columns: int = 80) -> list[str]:
    """Run `tune-paddy` where a person sees it; return all lines that were drawn, a live table's, too."""
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    for name in ("COLUMNS", "LINES", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    drawn = b"".join(chunks_of(ours, process)).decode()
    os.close(ours)
    assert process.wait() == 0, drawn
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn))


def chunks_of(terminal: int, process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """What a process writes to a terminal until it ends."""
    while process.poll() is None or select.select([terminal], [], [], 0)[0]:
        if select.select([terminal], [], [], 1)[0]:
            try:
                yield os.read(terminal, 1 << 16)
            except OSError:  # nobody has it open any more
                return


@dataclass(frozen=True)
class Demo:
    """A demo that has run: its folder, and every line that was on the screen."""

    folder: Path
    lines: list[str]

    @property
    def last(self) -> str:
        """What stays on the screen once the members are trained."""
        return "\n".join(self.lines).rpartition("members finished in ")[2]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One run of the demo, on a terminal of 80 columns."""
    folder = tmp_path_factory.mktemp("demo")
    return Demo(folder, run_on_a_terminal("demo", cwd=folder))


def test_the_demo_writes_a_submission_that_is_right_on_held_back_labels(demo: Demo) -> None:
    """By far more than chance, whatever the CPU's kernels make of the members."""
    accuracy = re.search(r"held-back labels of 359 test images: ([\d.]+) %", demo.last)
    assert accuracy
    assert float(accuracy[1]) >= 85
    data = demo.folder / "data/noisy-digits"
    submission = demo.folder / "runs/demo-1/submission.csv"
    check_submission(submission, data / "sample_submission.csv", list("0123456789"))
    assert 100 * score_submission(submission, data / TEST_LABELS) == pytest.approx(
        float(accuracy[1]), abs=0.06
    )


def test_the_demos_ensemble_beats_its_best_member_beyond_luck(demo: Demo) -> None:
    """The paired interval excludes zero: by more than six standard errors where that was measured."""
    told = json.loads((demo.folder / "runs/demo-1/ensemble.json").read_text())
    rivals = {rival["rival"]: rival for rival in told["assessment"]["comparisons"]}
    assert rivals["best_single"]["high"] < 0
    assert f"It beats the best single member by {-rivals['best_single']['difference']:.4f}." in demo.last


def test_the_demos_screen_shows_one_short_table_and_fits_80_columns(demo: Demo) -> None:
    assert max(map(len, demo.lines)) <= 80
    assert demo.last.count("log loss ") == 2  # the head of the table, and the verdict
    members = re.findall(r"^\d{4}-\S+  +0\.\d{4}  +0\.\d{4}  +[\d.]+ %  +\S+$", demo.last, re.MULTILINE)
    assert len(members) == 6
    numbers = re.findall(r"(?<![\w.-])\d+\.\d+", demo.last)
    assert max(len(number.replace(".", "").lstrip("0")) for number in numbers) <= 4
    for place in ("Submission: runs/demo-1/submission.csv", "Report:     runs/demo-1/report.html"):
        assert f"\n{place}\n" in demo.last
    assert "\nHard on purpose: scans of 8x8 px with added noise" in "\n".join(demo.lines)


def test_what_the_demo_says_to_type_next_can_be_typed(demo: Demo) -> None:
    typed = [shlex.split(line) for line in re.findall(r"uv run tune-paddy (.+)", demo.last)]
    assert [words[0] for words in typed] == ["ui", "data", "search", "predict"]
    assert all(parse(words) for words in typed)


def test_the_demos_seed_is_that_of_its_search(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_: object, overrides: dict[str, int], **__: object) -> None:
        raise InputError(f"asked for {overrides}")

    monkeypatch.setattr(search, "make_plan", look)
    assert "asked for {'seed': 7}" in call("demo", "--seed", "7", status=2)
    assert "asked for {}" in call("demo", status=2)


def test_the_notebooks_six_members_are_rehearsed_with_stand_ins_and_the_vits_counted_twice(
    finished: Finished, tmp_path: Path, call: Call
) -> None:
    data = finished.plan.dataset.root
    space = find_space("road_to_the_top").read_text(encoding="utf-8")
    assert "epochs: 12" in space
    (tmp_path / "road.yaml").write_text(space.replace("epochs: 12", "epochs: 1"), encoding="utf-8")
    arguments = ["search", str(data), "--space", "road.yaml", "--stand-ins", "--name", "road"]
    record = ["--tracking-uri", finished.store.tracking_uri]
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


def test_a_dry_run_prints_the_first_trials_and_leaves_nothing_behind(
    small_digits: Path, tmp_path: Path, call: Call
) -> None:
    text = call("search", str(small_digits), "--space", "road_to_the_top", "--dry-run")
    assert "0000-convnext_large.fb_in22k-320x224" in text
    assert " GPUs" in text
    assert [path.name for path in tmp_path.iterdir()] in ([], ["cache"])


def test_select_prints_members_weights_and_what_the_ensemble_must_beat(
    finished: Finished, call: Call
) -> None:
    arguments = ["select", "first", "--tracking-uri", finished.store.tracking_uri, "--metric", "error_rate"]
    text = call(*arguments, "--method", "greedy", "--out", "here")
    names = ("0000-test_resnet-32", "best single member", "uniform average")
    for words in (*names, "Submission: here/submission.csv\n", "Report:     here/report.html\n"):
        assert words in text
    assert "Browse" not in text


def test_how_an_ensemble_came_about_is_printed_when_asked_for(finished: Finished, call: Call) -> None:
    """The tables stand before the summary, which is the same with and without them."""
    arguments = ["select", "first", "--tracking-uri", finished.store.tracking_uri]
    short, long, letter = (call(*arguments, *flag) for flag in ([], ["--verbose"], ["-v"]))
    assert long == letter
    assert long.endswith(short)
    for words in (
        "Methods, cross-fitted",
        "What time buys",
        "On images it was not selected on",
        "plain views",
    ):
        assert words not in short
        assert words in long


def test_paths_with_spaces_can_be_copied(finished: Finished, call: Call) -> None:
    arguments = ["select", "first", "--tracking-uri", finished.store.tracking_uri, "--out", "my night"]
    assert "\nReport:     'my night/report.html'\n" in call(*arguments)


def test_a_budget_too_small_for_any_member_names_the_flag_and_the_least_that_is_needed(
    finished: Finished, call: Call
) -> None:
    arguments = ["select", "first", "--tracking-uri", finished.store.tracking_uri, "--max-minutes", "1e-9"]
    text = call(*arguments, status=2)
    words = r"within the budget: --max-minutes 1e-09: the fastest, \d+-test_\w+-32, takes \S+ minutes\n"
    assert re.search(words, text)


def test_check_counts_images_and_classes(small_digits: Path, call: Call) -> None:
    text = call("data", "check", str(small_digits))
    assert "150 labelled images of 10 classes, 20 to predict" in text


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
        (["search", ".", "--space", "digits_demo"], "none of the three layouts fits"),
        (["select", "no-such-search"], "mlflow.db"),
        (["submit", "none.csv"], "there is no file none.csv"),
        (["data", "check", "nowhere"], "nowhere"),
        (["search"], "give DATA and --space"),
        (["search", "--resume", "no-such-search"], "mlflow.db"),
        (["search", ".", "--space", "digits_demo", "--metric", "accuracy"], "--metric 'accuracy'"),
        (["search", ".", "--space", "digits_demo", "--weights", "vit"], "write PATTERN=WEIGHT"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(arguments: list[str], words: str, call: Call) -> None:
    assert words in call(*arguments, status=2)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--trials", "0", "--minutes", "-1"], "--trials: 0 should be greater than or equal to 1\n"),
        (["--gpu", "1.5"], "--gpu: 1.5 should be 'auto' or up to 1 (a share of one GPU), or a whole number"),
        (["--folds", "1"], "--folds: 1 should be at least 2, or 0 for a select split\n"),
        (["--gpu-memory", "-1"], "--gpu-memory: -1.0 should be greater than 0"),
    ],
)
def test_a_setting_out_of_its_bounds_names_its_flag(flags: list[str], words: str, call: Call) -> None:
    assert words in call("search", ".", "--space", "digits_demo", *flags, status=2)


def test_a_submission_without_credentials_says_what_is_missing(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "submission.csv").write_text("image_id,label\na.jpg,blast\n")
    told = call("submit", "submission.csv", "--competition", "rice", "--yes", status=2)
    assert "KAGGLE_USERNAME" in told


def test_missing_weights_end_a_search_before_it_begins(
    small_digits: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine.yaml").write_text("recipes: [{arch: test_resnet, size: 32}]")
    arguments = ["search", str(small_digits), "--space", "mine.yaml"]
    assert "the pretrained weights of test_resnet are not on this machine" in call(*arguments, status=2)
    assert "no folder nowhere" in call(*arguments, "--weights-dir", "nowhere", status=2)
    assert not list(tmp_path.glob("mlflow.db*"))
    assert "1 of the weights are neither in weights nor" in call("weights", "fetch", "mine.yaml", status=1)


def test_a_name_that_is_taken_is_refused(small_digits: Path, tmp_path: Path, call: Call) -> None:
    (tmp_path / "runs/mine/members").mkdir(parents=True)
    arguments = ["search", str(small_digits), "--space", "digits_demo", "--name", "mine"]
    assert "there is a search 'mine'" in call(*arguments, status=2)


def test_a_name_that_only_the_record_knows_is_refused_too(finished: Finished, call: Call) -> None:
    arguments = ["search", str(finished.plan.dataset.root), "--space", "digits_demo", "--name", "first"]
    text = call(*arguments, "--tracking-uri", finished.store.tracking_uri, status=2)
    assert "there is a search 'first'; go on with it: tune-paddy search --resume first" in text


def test_weights_for_members_that_a_space_cannot_have_are_refused_before_anything_trains(
    small_digits: Path, tmp_path: Path, call: Call
) -> None:
    arguments = ["search", str(small_digits), "--space", "digits_demo", "--weights", "zzz=2"]
    assert "--weights: 'zzz' matches no member; the architectures are test_" in call(*arguments, status=2)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("gpu", "row"), [("0.5", r" 0\.5 │ \? +│ \? "), ("auto", r" \? +│ \? +│ \? ")])
def test_a_dry_run_without_a_gpu_shows_what_is_set_and_what_is_not_known(
    gpu: str, row: str, small_digits: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_gpu_at_hand", no_gpu)
    text = call("search", str(small_digits), "--space", "digits_demo", "--dry-run", "--gpu", gpu)
    assert "No forecasts (?): nothing at hand" in text
    assert f"The first {len(re.findall(row, text))}:" in text


def no_gpu() -> tuple[str, float]:
    raise InputError("nothing at hand")


def test_a_dry_run_shows_what_a_trial_is_given_of_a_gpu(small_digits: Path, call: Call) -> None:
    arguments = ["search", str(small_digits), "--space", "digits_demo", "--dry-run", "--gpu", "auto"]
    text = call(*arguments, "--gpu-memory", "16280")
    assert "0.125" in text
    assert "label_smoothing=" in text
