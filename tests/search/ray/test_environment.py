import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import ray

from tune_paddy.core.errors import InputError
from tune_paddy.search.ray import session
from tune_paddy.search.ray.environment import MOST_WARMED, WARMED, warm_workers
from tune_paddy.search.ray.session import ray_session

SCRIPT = """
import sys
from pathlib import Path
from tune_paddy.search.ray import environment
environment._is_compiled = lambda package: {compiled}
environment.keep_byte_code(Path(sys.argv[1]))
import this_module
"""


def _import_in(folder: Path, *, forbidden: bool, compiled: bool) -> list[str]:
    """Import a module with byte code forbidden or not; return the compiled files in the cache."""
    (folder / "source").mkdir()
    (folder / "source/this_module.py").write_text("word = 1\n")
    environment = {**os.environ, "PYTHONPATH": str(folder / "source")}
    environment.pop("PYTHONPYCACHEPREFIX", None)
    environment |= {"PYTHONDONTWRITEBYTECODE": "1" if forbidden else ""}
    script = SCRIPT.format(compiled=compiled)
    subprocess.run([sys.executable, "-c", script, str(folder / "cache")], check=True, env=environment)
    return [path.name for path in folder.glob("cache/**/this_module.*.pyc")]


def test_byte_code_goes_to_the_cache_if_it_is_forbidden_and_the_packages_have_none(
    tmp_path: Path,
) -> None:
    assert len(_import_in(tmp_path, forbidden=True, compiled=False)) == 1
    assert not list(tmp_path.glob("source/**/*.pyc"))


def test_a_cache_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    assert not _import_in(tmp_path, forbidden=True, compiled=False)


@pytest.mark.parametrize(("forbidden", "compiled"), [(True, True), (False, False)])
def test_otherwise_byte_code_is_left_to_python(tmp_path: Path, forbidden: bool, compiled: bool) -> None:
    assert not _import_in(tmp_path, forbidden=forbidden, compiled=compiled)


def test_workers_are_warmed_on_small_machines_and_variables_of_the_user_take_precedence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("RAY_preload_python_modules", "RAY_num_workers_soft_limit")
    for name in names:
        monkeypatch.setenv(name, "mine")
        monkeypatch.delenv(name)
    warm_workers(MOST_WARMED + 1)
    assert not os.environ.keys() & set(names)
    monkeypatch.setenv(names[1], "1")
    warm_workers(2)
    assert [os.environ[name] for name in names] == [WARMED, "1"]


@pytest.mark.parametrize("message", ["The current node timed out.\nSecond line", ""])
def test_a_ray_that_starts_too_slowly_is_reported_in_one_line(
    message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray raises a bare exception then."""

    def fail(**_: object) -> None:
        raise Exception(message)  # noqa: TRY002 as Ray does

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fail)
    words = f"^Ray could not be reached at auto: {message.partition(chr(10))[0] or 'Exception'}$"
    with pytest.raises(InputError, match=words), ray_session("auto"):
        pass


def test_a_start_that_fails_is_repeated_without_what_it_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine Ray's processes may give up, and leave some of themselves."""
    left: list[subprocess.Popen[bytes]] = []

    def start(**_: object) -> None:
        if left:
            return
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        left.append(subprocess.Popen(command, start_new_session=True))
        raise RuntimeError("The current node timed out during startup.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "init", start)
    # Otherwise the end of this session would end the processes of the tests' own Ray.
    monkeypatch.setattr(session, "own_processes", dict)
    with ray_session(None):
        assert not psutil.pid_exists(left[0].pid)
    left[0].wait()


@pytest.mark.parametrize("kind", [TypeError, AttributeError])
def test_a_mistake_in_a_call_of_ray_is_not_taken_for_an_absent_cluster(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def fail(**_: object) -> None:
        raise kind("init() got an unexpected argument")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(kind, match="unexpected argument"), ray_session("auto"):
        pass
