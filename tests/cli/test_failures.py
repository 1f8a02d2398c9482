import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from tests.cli.commands import HEARS_CTRL_C
from tests.cli.conftest import Call
from tune_paddy.cli import data as data_commands
from tune_paddy.cli.app import typed_command
from tune_paddy.cli.searching.training import train_and_print
from tune_paddy.core.errors import InputError, SearchInterruptedError
from tune_paddy.tracking.store import resolve_uri

PROGRAM = [sys.executable, "-c", "from tune_paddy.cli import program; program()"]


def raising(error: BaseException) -> Callable[..., None]:
    def command(*_: object, **__: object) -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ZeroDivisionError("a\nb"),
            "internal error: ZeroDivisionError: a; run the same command",
        ),
        (KeyError(), "KeyError: no message"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (MemoryError(), "error: out of memory: free some, or raise the limit"),
        (ImportError("libx.so: failed to map segment from shared object"), "out of memory (libx.so: failed"),
        (RuntimeError("unable to mmap 9 bytes: Cannot allocate memory (12)"), "error: out of memory (unable"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "error: out of memory (Default",
        ),
        (OSError(28, "No space left on device", "x/y"), "error: x/y: No space left on device"),
        (OSError("odd"), "error: odd"),
    ],
)
def test_an_unexpected_exception_is_one_line_and_exit_status_1(
    error: Exception, words: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_commands, "open_dataset", raising(error))
    text = call("data", "check", "x", status=1)
    assert words in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["bogus"], "error: No such command 'bogus'; see `tune-paddy --help`"),
        (["select"], "error: Missing argument 'searches'; see `tune-paddy select --help`"),
        (["data", "check", "x", "--y"], "error: No such option: --y; see `tune-paddy data check --help`"),
        (["show", "--runs", "file"], "error: Invalid value for '--runs': dir 'file' is a file; see `tune-p"),
    ],
)
def test_an_invalid_command_line_is_one_line_and_exit_status_2(
    arguments: list[str], line: str, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    text = call(*arguments, status=2)
    assert text.startswith(line)
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("message", "options", "line"),
    [
        ("max_minutes 0: give more", ["max_minutes"], "--max-minutes 0: give more"),
        ("no room; lower `cpus`, or use `gpu=0`", ["cpus", "gpu"], "no room; lower --cpus, or use --gpu 0"),
        ("images are gone; give `data` again", ["data"], "images are gone; give DATA again"),
        (
            "'name' is there; choose another `name`",
            ["name"],
            "'name' is there; choose another --name",
        ),
        ("set `keep_weights: all`; cpus", ["keep_weights", "cpus"], "set `keep_weights: all`; cpus"),
        ("seed -1: see `seed`", [], "seed -1: see `seed`"),
    ],
)
def test_the_command_line_replaces_parameters_in_an_error_by_options(
    message: str, options: list[str], line: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = InputError(message, options=options)
    assert str(error) == message
    monkeypatch.setattr(data_commands, "open_dataset", raising(error))
    assert call("data", "check", "x", status=2) == f"error: {line}\n"


def test_a_pickled_error_keeps_its_options() -> None:
    error = pickle.loads(pickle.dumps(InputError("lower `cpus`", options=["cpus"])))  # noqa: S301 our own
    assert (str(error), error.options) == ("lower `cpus`", ("cpus",))


@pytest.mark.parametrize(
    ("record", "option"), [("sqlite:///mlflow.db", ""), ("sqlite:///x.db", " --tracking-uri sqlite:///x.db")]
)
def test_an_interrupted_search_names_the_command_that_resumes_it(
    record: str, option: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = SearchInterruptedError("search night was interrupted; it can be resumed")
    monkeypatch.setattr("tune_paddy.search.run.run_search", raising(error))
    ready: Any = SimpleNamespace(
        plan=SimpleNamespace(name="night", space=SimpleNamespace(name="digits_demo"))
    )
    store: Any = SimpleNamespace(tracking_uri=resolve_uri(record), address=record)
    monkeypatch.setattr(data_commands, "open_dataset", lambda *_: train_and_print(ready, store))
    assert call("data", "check", "x", status=130).splitlines()[-1] == (
        "error: search night was interrupted; it can be resumed; "
        f"to resume it: tune-paddy search --resume night{option}"
    )


def test_without_a_command_the_help_is_printed(call: Call) -> None:
    text = call(status=2)
    assert "Usage: tune-paddy" in text
    assert "error:" not in text


def test_a_deleted_working_folder_is_named(tmp_path: Path) -> None:
    """In a process of its own: this one needs its working folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    code = "import os; from tune_paddy.cli.failures import one_line_errors\nos.rmdir(os.getcwd())\n"
    code += "with one_line_errors(debug=False): os.getcwd()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the working folder was deleted while the command ran; ")
    assert done.stderr.count("\n") == 1


def test_an_unanswered_question_ends_silently(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_commands, "open_dataset", raising(typer.Abort()))
    assert call("data", "check", "x", status=130) == ""


def test_debug_prints_the_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_commands, "open_dataset", raising(ZeroDivisionError("odd")))
    with pytest.raises(AssertionError, match="Traceback"):  # which `call` refuses
        call("data", "check", "x", "--debug", status=1)


def test_a_message_hides_credentials_and_control_characters(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "planted-secret")
    error = OSError("http://me:hunter2@host planted-secret \x1b[2J\x07 \udcff [/red]")
    monkeypatch.setattr(data_commands, "open_dataset", raising(error))
    assert (
        call("data", "check", "x", status=1) == r"error: http://***@host *** \x1b[2J\x07 \udcff [/red]" + "\n"
    )


def test_the_recorded_command_holds_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_KEY", "planted-secret")
    uri = "postgresql://me:hunter2@host/db?password=hunter2"
    monkeypatch.setattr(sys, "argv", ["x", "search", "a b", "--tracking-uri", uri, "--name=planted-secret"])
    shown = "'postgresql://***@host/db?password=***' '--name=***'"
    assert typed_command() == f"tune-paddy search 'a b' --tracking-uri {shown}"


def test_an_interruption_is_silent_and_exit_status_130(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_commands, "open_dataset", raising(KeyboardInterrupt()))
    assert call("data", "check", "x", status=130) == ""


WAITING = """
import time
from tune_paddy.cli import data, program
data.open_dataset = lambda *_: (print("waiting", flush=True), time.sleep(600))
program()
"""


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGINT, 130, ""),
        (signal.SIGTERM, 143, "error: ended by SIGTERM; run the same command again\n"),
        (signal.SIGHUP, 129, "error: ended by SIGHUP; run the same command again\n"),
    ],
)
def test_a_signal_ends_a_process_without_a_traceback(
    number: signal.Signals, status: int, line: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", HEARS_CTRL_C + WAITING, "data", "check", "x"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=300)
    assert (process.returncode, stderr) == (status, line)


def test_a_closed_pipe_prints_no_error(tmp_path: Path) -> None:
    """As in `tune-paddy data check DATA | head -0`."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, "--version"], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_names_that_the_terminal_cannot_encode_are_escaped(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "200"}
    done = subprocess.run(
        [*PROGRAM, "data", "check", "--", b"--debug \xff \xc3\xa4 [/x]\n"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert r"--debug \udcff \xe4 [/x]\n" in done.stderr
    assert "Traceback" not in done.stderr
