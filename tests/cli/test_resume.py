"""The offer to resume an earlier search, at a terminal and without one."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Finished
from tune_paddy.cli.resume import find_earlier
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import open_store
from tune_paddy.tracking.writing import finish_run

OFFER = """
import sys
from types import SimpleNamespace
from tune_paddy.cli.resume import offer
from tune_paddy.core.errors import InputError
for how in sys.argv[1:]:
    try:
        print("answer:", offer(SimpleNamespace(name="mine", outcome="interrupted"), named=how == "named"))
    except InputError as error:
        print("refused:", error)
"""
QUESTION = "Search 'mine' already exists (interrupted). Resume it? [Y/n]: "


def at_terminal(typed: str, *offers: str) -> str:
    """Return what a pseudo-terminal shows of offers by one process, given typed text."""
    here, there = pty.openpty()
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
    with subprocess.Popen(
        [sys.executable, "-c", OFFER, *offers], stdin=there, stdout=there, stderr=there, env=environment
    ) as process:
        os.close(there)
        os.write(here, typed.encode())
        shown = b""
        try:
            while part := os.read(here, 4096):
                shown += part
        except OSError:  # Linux raises it when the other side has closed
            pass
    os.close(here)
    assert process.returncode == 0, shown
    return shown.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def replies() -> list[str]:
    """Replies at a terminal: to yes, to the default, to no, and to no for a search that was named."""
    shown = at_terminal("y\n\nn\nn\n", *["by command"] * 3, "named")
    return shown.split(QUESTION)[1:]


def test_the_offer_at_a_terminal_returns_the_answer(replies: list[str]) -> None:
    answers = [f"answer: {answer}" for answer in (True, True, False)]
    assert [reply.strip() for reply in replies[:3]] == answers


def test_declining_to_resume_a_named_search_asks_for_another_name(replies: list[str]) -> None:
    assert replies[3].strip() == (
        "refused: search 'mine' already exists; to resume it: tune-paddy search --resume mine; "
        "or choose another --name"
    )


def test_without_a_terminal_the_command_that_resumes_is_printed() -> None:
    command = [sys.executable, "-c", OFFER, "by command"]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert done.stdout == (
        "An earlier search by this command did not finish; "
        "to resume it: tune-paddy search --resume mine\n"
        "answer: False\n"
    )


def test_a_search_is_found_by_name_whatever_its_outcome(finished: Finished) -> None:
    found = find_earlier(finished.store.tracking_uri, "first")
    assert found is not None
    assert found.outcome == "finished"
    assert find_earlier(finished.store.tracking_uri, "second") is None


def test_the_newest_unfinished_search_of_the_same_command_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["tune-paddy", "search", "data"])
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert find_earlier(uri, None) is None, "there is no record"
    store = open_store(uri, experiment="digits", artifact_root=tmp_path, create=True)
    for name, command, status in (
        ("old", "tune-paddy search data", "KILLED"),
        ("new", "tune-paddy search data", "KILLED"),
        ("done", "tune-paddy search data", "FINISHED"),
        ("other", "tune-paddy search other", "KILLED"),
    ):
        run_id = start_search(
            store, name=name, params={}, tags={"command": command, "folder": tmp_path / name}
        )
        finish_run(store, run_id, status)
    found = find_earlier(uri, None)
    assert found is not None
    assert found.name == "new"
