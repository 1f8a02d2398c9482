import os
import subprocess
import sys
from pathlib import Path

import pytest

from tune_paddy.data.system.owned_folders import (
    OWNER,
    OWNER_TEXT,
    PREFIX,
    UNFINISHED,
    owned_folder,
    sweep,
    sweep_usual_places,
)

OWN = """
import os, sys
from pathlib import Path
from tune_paddy.data.system.owned_folders import owned_folder
with owned_folder(Path(sys.argv[1])) as folder:
    (folder / "image").touch()
    os.kill(os.getpid(), 9)
"""


def left_by_a_killed_process(folder: Path) -> Path:
    folder.parent.mkdir(exist_ok=True)
    folder.mkdir(mode=0o700)
    (folder / OWNER).write_bytes(OWNER_TEXT)
    return folder


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


@pytest.mark.parametrize("content", [None, b"", b"a list of what I own", OWNER_TEXT + b"and more"])
def test_a_folder_of_the_user_stays_whatever_its_name_and_age(tmp_path: Path, content: bytes | None) -> None:
    for prefix in (PREFIX, UNFINISHED):
        folder = tmp_path / f"{prefix}main"
        folder.mkdir(mode=0o700)
        if content is not None:
            (folder / OWNER).write_bytes(content)
        os.utime(folder, (0, 0))
        sweep(tmp_path, prefix=prefix)
        assert folder.is_dir()


def test_a_folder_whose_mode_lets_others_in_stays(tmp_path: Path) -> None:
    left_by_a_killed_process(tmp_path / f"{PREFIX}x").chmod(0o755)
    sweep(tmp_path)
    assert (tmp_path / f"{PREFIX}x").is_dir()


def test_a_kept_folder_is_never_swept(tmp_path: Path) -> None:
    with owned_folder(tmp_path, kept=True) as folder:
        (folder / "log").touch()
    sweep(tmp_path)
    assert (folder / "log").is_file()


def test_links_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    left_by_a_killed_process(other)
    (tmp_path / f"{PREFIX}link").symlink_to(other)
    sweep(tmp_path)
    assert (other / OWNER).read_bytes() == OWNER_TEXT


def test_every_command_removes_what_killed_exports_and_servers_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    left = [tmp_path / f"{UNFINISHED}x", tmp_path / "tmp" / f"{PREFIX}y"]
    for folder in left:
        left_by_a_killed_process(folder)
    sweep_usual_places()
    assert not [folder for folder in left if folder.exists()]
