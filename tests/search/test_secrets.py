"""No file and no process of a search shows its credentials, which `tests.conftest` plants."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import ray

from tests.conftest import PLANTED, SECRETS, Finished
from tests.search.conftest import ODD, Odd
from tune_paddy.search.ray.internals import own_processes

FIND = """
import json, os, sys
from contextlib import suppress
from pathlib import Path

folder, text, found = Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), []
files = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
files = [path for path in files if path.is_file()]
for path in files:
    with suppress(FileNotFoundError):  # Ray may remove a file meanwhile
        if text in path.read_bytes():
            found.append(path.relative_to(folder).as_posix())
print(json.dumps([len(files), found]))
"""


def files_with(folder: Path, text: bytes) -> list[str]:
    """Return the names of the files that contain a text.

    A separate process reads the files. If this process has an SQLite database open, closing another handle of
    its file drops its locks, and the next process to close it removes the log that this one writes to.
    """
    command = [sys.executable, "-c", FIND, str(folder), text.hex()]
    count, found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert count
    return list(found)


def test_no_file_of_a_search_contains_credentials(odd: Odd, finished: Finished) -> None:
    """Neither of one on Ray, nor of one that keeps the weights of its members."""
    for root, record in ((odd.dataset.parent, f"{ODD}.db"), (finished.runs.parent, "mlflow.db")):
        assert (root / record).is_file()
        assert files_with(root, PLANTED.encode()) == []


def test_no_log_of_ray_contains_credentials(odd: Odd) -> None:  # noqa: ARG001 writes the logs
    assert files_with(Path(ray._private.worker._global_node.get_session_dir_path()), PLANTED.encode()) == []


def test_no_process_shows_credentials(odd: Odd) -> None:  # noqa: ARG001 starts the processes
    lines = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a worker may end meanwhile; a zombie has no command line
            lines.append(" ".join(process.cmdline()))
    assert len(list(filter(None, lines))) > 3
    assert not [line for line in lines if PLANTED in line]


def test_trials_have_the_credentials(odd: Odd) -> None:  # noqa: ARG001 starts the processes
    """The tests above rely on it. The raylet is read, since titles of workers overwrite their environment."""
    inherited = own_processes()["raylet"].environ()
    assert {name: inherited.get(name) for name in SECRETS} == {n: f"{PLANTED}-{n}" for n in SECRETS}


def test_files_with_finds_a_text_and_needs_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(f"a{PLANTED}b")
    assert files_with(tmp_path, PLANTED.encode()) == ["x"]
    with pytest.raises(AssertionError):
        files_with(tmp_path / "nowhere", b"")
