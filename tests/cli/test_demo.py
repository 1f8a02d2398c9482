"""The demo in its own process, on a terminal of 80 columns."""

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

import pytest

from tests.cli.commands import parse
from tests.cli.conftest import Call
from tune_paddy.cli import demo as demo_command
from tune_paddy.core.errors import InputError
from tune_paddy.data.samples import TEST_LABELS, score_submission
from tune_paddy.data.submission.files import check_submission

PROGRAM = [sys.executable, "-c", "from tune_paddy.cli import program; program()"]


def run_on_a_terminal(*arguments: str, cwd: Path, columns: int = 80) -> list[str]:
    """Run `tune-paddy` on a pseudo-terminal; return all lines drawn, also those of a live table."""
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
    """Yield the output of a process on a terminal until it ends."""
    while process.poll() is None or select.select([terminal], [], [], 0)[0]:
        if select.select([terminal], [], [], 1)[0]:
            try:
                yield os.read(terminal, 1 << 16)
            except OSError:  # every process has closed it
                return


@dataclass(frozen=True)
class Demo:
    """A finished demo: its folder, and every line drawn on the screen."""

    folder: Path
    lines: list[str]

    @property
    def last(self) -> str:
        """Output after the training."""
        return "\n".join(self.lines).rpartition("members finished in ")[2]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One run of the demo, on a terminal of 80 columns."""
    folder = tmp_path_factory.mktemp("demo")
    return Demo(folder, run_on_a_terminal("demo", cwd=folder))


@pytest.mark.documents("demo")
def test_the_demo_writes_a_submission_that_is_right_on_held_back_labels(demo: Demo) -> None:
    """The threshold is far above chance, because the members depend on the CPU's kernels."""
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
    """The paired interval excludes zero: by more than five standard errors wherever that was measured."""
    told = json.loads((demo.folder / "runs/demo-1/ensemble.json").read_text())
    rivals = {rival["rival"]: rival for rival in told["assessment"]["comparisons"]}
    assert rivals["best_single"]["high"] < 0
    assert f"It beats the best single member by {-rivals['best_single']['difference']:.4f}." in demo.last


def test_the_demo_prints_one_short_table_within_80_columns(demo: Demo) -> None:
    assert max(map(len, demo.lines)) <= 80
    assert demo.last.count("log loss  with TTA") == 1, "the head of one table"
    members = re.findall(r"^\d{4}-\S+  +[\d.]+  +[\d.]+  +[\d.]+ %(?:  +\S+)? *$", demo.last, re.MULTILINE)
    assert len(members) == 6
    numbers = re.findall(r"(?<![\w.-])\d+\.\d+", demo.last)
    assert max(len(number.replace(".", "").lstrip("0")) for number in numbers) <= 4
    for place in ("Submission: runs/demo-1/submission.csv", "Report:     runs/demo-1/report.html"):
        assert f"\n{place}\n" in demo.last
    assert "\nHard on purpose: scans of 8x8 px with added noise" in "\n".join(demo.lines)


def test_the_demo_leaves_its_record_in_one_file(demo: Demo) -> None:
    """A copy of the file is complete: SQLite's write-ahead log is empty."""
    assert (demo.folder / "mlflow.db").stat().st_size > 0
    assert list(demo.folder.glob("mlflow.db-*")) == []


def test_the_commands_that_the_demo_suggests_parse(demo: Demo) -> None:
    line = re.compile(r"^(?:[\w ]+:)? +(?:uv run )?tune-paddy (.+)", re.MULTILINE)
    typed = [shlex.split(found) for found in line.findall(demo.last)]
    assert [words[0] for words in typed] == ["report", "ui", "export", "data", "search", "predict"]
    assert all(parse(words) for words in typed)


def test_the_demo_passes_its_seed_to_the_search(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_: object, overrides: dict[str, int], **__: object) -> None:
        raise InputError(f"asked for {overrides}")

    monkeypatch.setattr(demo_command, "make_plan", look)
    assert "asked for {'seed': 7}" in call("demo", "--seed", "7", status=2)
    assert "asked for {}" in call("demo", status=2)
