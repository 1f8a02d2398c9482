"""Credentials of a search, planted by `tests.conftest`, in nothing that the search has written or shown."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import ray

from tests.conftest import PLANTED, SECRETS, Finished

FIND = """
import json, os, sys
from contextlib import suppress
from pathlib import Path

folder, text, found = Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), []
files = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
files = [path for path in files if path.is_file()]
for path in files:
    with suppress(FileNotFoundError):  # one that goes meanwhile, as Ray's may, holds nothing
        if text in path.read_bytes():
            found.append(path.relative_to(folder).as_posix())
print(json.dumps([len(files), found]))
"""


def files_with(folder: Path, text: bytes) -> list[str]:
    """Names of the files that hold a text.

    Another process looks: where this one has a database of SQLite open, closing any other handle of its file
    takes away its locks, and the next process to close it removes the log that this one writes to.
    """
    command = [sys.executable, "-c", FIND, str(folder), text.hex()]
    count, found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert count
    return list(found)


def test_no_file_of_a_search_and_not_its_record_holds_them(finished: Finished) -> None:
    root = finished.runs.parent
    assert (root / "mlflow.db").is_file()
    assert files_with(root, PLANTED.encode()) == []


def test_no_log_of_ray_holds_them(finished: Finished) -> None:  # noqa: ARG001 asked for what it writes
    assert files_with(Path(ray._private.worker._global_node.get_session_dir_path()), PLANTED.encode()) == []


def test_no_process_shows_them(finished: Finished) -> None:  # noqa: ARG001 asked for what it starts
    lines = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a worker may end meanwhile; a zombie has no command line
            lines.append(" ".join(process.cmdline()))
    assert len(list(filter(None, lines))) > 3
    assert not [line for line in lines if PLANTED in line]


def test_trials_have_the_credentials(finished: Finished) -> None:  # noqa: ARG001 asked for what it starts
    """Else the tests above would prove nothing. Workers write their titles over what the system shows."""
    processes = psutil.Process().children(recursive=True)
    (raylet,) = (process for process in processes if process.name() == "raylet")
    inherited = raylet.environ()
    assert {name: inherited.get(name) for name in SECRETS} == {n: f"{PLANTED}-{n}" for n in SECRETS}


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(f"a{PLANTED}b")
    assert files_with(tmp_path, PLANTED.encode()) == ["x"]
    with pytest.raises(AssertionError):
        files_with(tmp_path / "nowhere", b"")
