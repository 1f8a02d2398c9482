import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.capabilities import needs_second_user
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.locks import file_lock

LOCK_AS_ANOTHER_USER = """
import os, sys, filelock  # the other user may not be able to read the environment
from pathlib import Path
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.locks import file_lock
os.setgroups([])
os.setgid(65533)
os.setuid(65534)
try:
    with file_lock(Path(sys.argv[1]), seconds=0):
        print("locked")
except TunePaddyError as error:
    print(error)
"""


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o755, 0o600), (0o2770, 0o660)])
def test_those_who_may_write_a_folder_may_lock_its_files(tmp_path: Path, folder: int, file: int) -> None:
    tmp_path.chmod(folder)
    with file_lock(tmp_path / "lock"):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == file


@needs_second_user
@pytest.mark.parametrize(("mode", "answer"), [(0o660, "locked"), (0o600, "chmod g+rw")])
def test_another_user_of_the_group_locks_or_is_told_what_the_owner_can_do(mode: int, answer: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        os.chown(folder, 0, 65533)
        folder.chmod(0o2770)
        with file_lock(folder / "lock"):
            pass
        (folder / "lock").chmod(mode)
        done = subprocess.run(
            [sys.executable, "-c", LOCK_AS_ANOTHER_USER, str(folder / "lock")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert answer in done.stdout, done.stderr


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_missing_flock_is_refused_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(TunePaddyError, match="its file system has no locks"), file_lock(tmp_path / "lock"):
        pass
    assert not list(tmp_path.iterdir())
