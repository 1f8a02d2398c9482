import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tune_paddy.data.system.owned_folders import PREFIX, UNFINISHED, owned_folder, sweep, sweep_usual_places

OWN = """
import os, sys
from pathlib import Path
from tune_paddy.data.system.owned_folders import owned_folder
with owned_folder(Path(sys.argv[1])) as folder:
    (folder / "image").touch()
    os.kill(os.getpid(), 9)
"""


def test_a_folder_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", OWN, str(tmp_path)], check=False)
    assert [path.name for path in tmp_path.glob("*/image")] == ["image"]
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_stays(tmp_path: Path) -> None:
    with owned_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        sweep(tmp_path)
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.parametrize(("days", "stays"), [(0.9, True), (1.1, False)])
def test_a_folder_without_an_owner_is_removed_after_a_day(tmp_path: Path, days: float, stays: bool) -> None:
    folder = tmp_path / f"{PREFIX}x"
    folder.mkdir()
    os.utime(folder, (time.time() - days * 86400,) * 2)
    sweep(tmp_path)
    assert folder.exists() == stays


def test_links_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / ".owned").write_text("content")
    (tmp_path / f"{PREFIX}link").symlink_to(other)
    sweep(tmp_path)
    assert (other / ".owned").read_text() == "content"


def test_every_command_removes_what_killed_exports_and_servers_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    left = [tmp_path / f"{UNFINISHED}x", tmp_path / "tmp" / f"{PREFIX}y"]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / ".owned").touch()
    sweep_usual_places()
    assert not [folder for folder in left if folder.exists()]
