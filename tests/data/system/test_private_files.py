import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tune_paddy.data.system.files import is_mine_alone, make_private_file, make_private_folder


@pytest.fixture(autouse=True)
def _generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_every_created_folder_is_private(tmp_path: Path) -> None:
    made = make_private_folder(tmp_path / "a" / "b")
    assert [mode(made), mode(made.parent)] == [0o700, 0o700]


def test_a_created_file_is_private(tmp_path: Path) -> None:
    assert mode(make_private_file(tmp_path / "x")) == 0o600


def test_existing_folders_and_files_keep_their_permissions(tmp_path: Path) -> None:
    shared, file = tmp_path / "shared", tmp_path / "x"
    shared.mkdir(mode=0o770)
    file.touch(mode=0o660)
    file.write_text("content")
    assert mode(make_private_folder(shared / "mine").parent) == 0o770
    assert mode(make_private_file(file)) == 0o660
    assert file.read_text() == "content"


def test_a_folder_is_mine_alone_if_no_other_may_write(tmp_path: Path) -> None:
    for allowed, alone in ((0o700, True), (0o755, True), (0o770, False), (0o1777, False)):
        tmp_path.chmod(allowed)
        assert is_mine_alone(tmp_path) == alone


def test_a_relative_folder_is_made_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert make_private_folder(Path("runs/a")) == tmp_path / "runs" / "a"


def test_a_file_in_place_of_a_folder_is_a_system_error(tmp_path: Path) -> None:
    make_private_file(tmp_path / "x")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        make_private_folder(tmp_path / "x" / "y")
