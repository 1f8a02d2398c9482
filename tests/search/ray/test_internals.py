"""Ray's private names, and the reuse of real Ray processes by trials that do nothing."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray import tune
from ray.tune.search import Searcher

from tests.faults.harness import wait_for
from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.search.ray import internals
from tune_paddy.search.ray.internals import (
    SPENT,
    count_gpus,
    find,
    kept_processes,
    only_needed_processes,
    own_processes,
    patient_start,
    prestarted_workers_used,
    quiet_workers,
    shielded_processes,
    sigterm_left_alone,
)
from tune_paddy.search.resources import resources_here

SPENDS = 5
"""Number of the trial whose process is not reused."""


def _meet(trial: dict[str, Any]) -> None:
    """End together with the other trial of a pair, so that two processes are idle at once."""
    folder = Path(trial["folder"])
    (folder / str(trial["number"])).touch()
    other = folder / str(trial["number"] ^ 1)
    until = time.monotonic() + 300
    while not other.exists() and time.monotonic() < until:
        time.sleep(0.01)
    tune.report({"pid": os.getpid(), SPENT: trial["number"] == SPENDS})


class _Pairs(Searcher):
    """Proposes the next two trials once both of a pair have ended."""

    def __init__(self, folder: Path, trials: int) -> None:
        super().__init__(metric="pid", mode="min")
        self._folder, self._trials = folder, trials
        self._proposed = self._ended = 0

    def suggest(self, trial_id: str) -> Any:  # noqa: ARG002
        if self._proposed == self._trials:
            return Searcher.FINISHED
        if self._proposed - self._ended == 2 or self._ended % 2:
            return None
        self._proposed += 1
        return {"number": self._proposed - 1, "folder": str(self._folder)}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:  # noqa: ARG002
        self._ended += 1


@pytest.fixture(scope="module")
def processes(ray_running: None, tmp_path_factory: pytest.TempPathFactory) -> list[int]:  # noqa: ARG001
    """Process ids of eight trials in pairs on two slots, by trial number."""
    folder = tmp_path_factory.mktemp("pairs")
    tuner = tune.Tuner(  # half a CPU each: two run at once on any machine
        tune.with_resources(_meet, tune.PlacementGroupFactory([{"CPU": 0.5}])),
        tune_config=tune.TuneConfig(search_alg=_Pairs(folder, 8), num_samples=8, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(folder / "ray"), verbose=0),
    )
    with kept_processes():
        results = tuner.fit()
    return [result.metrics["pid"] for result in sorted(results, key=lambda r: r.config["number"])]


def test_trials_run_in_two_processes_even_if_pairs_end_together(processes: list[int]) -> None:
    assert len(processes) == 8
    assert len(set(processes[:SPENDS])) == 2


def test_a_spent_process_is_replaced_and_the_other_is_reused(processes: list[int]) -> None:
    spent, other = processes[SPENDS], processes[SPENDS ^ 1]
    before, after = processes[: SPENDS + 1], processes[SPENDS + 1 :]
    assert {spent, other} == set(before)
    assert spent not in after
    assert other in after
    assert len(set(processes)) == 3


CONTROLLER = "ray.tune.execution.tune_controller"
NAMES = {
    "keeps or replaces a process": (
        "ray.tune.execution.tune_controller",
        "TuneController",
        "_maybe_cache_trial_actor",
    ),
    "idle processes": ("ray.tune.execution.tune_controller", "_ObjectCache"),
    "a trial's environment": ("ray.tune.execution.class_cache", "DEFAULT_ENV_VARS"),
    "variables that trials get": ("ray.tune.execution.class_cache", "ENV_VARS_TO_PROPAGATE"),
    "messages of dead workers": ("ray._private.worker", "listen_error_messages"),
    "SIGTERM": ("ray._private.utils", "set_sigterm_handler"),
    "waits for the raylet": ("ray._private.services", "get_node"),
    "start of Ray's processes": ("ray._private.services", "ConsolePopen"),
    "Ray's processes": ("ray._private.worker", "_global_node"),
    "the dashboard": ("ray._private.node", "Node", "start_api_server"),
    "the log monitor": ("ray._private.node", "Node", "start_log_monitor"),
    "the autoscaler": ("ray._private.node", "Node", "start_monitor"),
    "settings": ("ray._raylet", "Config", "initialize"),
    "accelerators": ("ray._private.accelerators", "get_accelerator_manager_for_resource"),
}


@pytest.mark.usefixtures("ray_running")
@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_this_ray_has_the_name(name: tuple[str, ...]) -> None:
    """With a version of Ray that lacks a name, a search is slower, and this test shows the name."""
    assert find(*name) is not None


BLOCKS = (
    kept_processes,
    only_needed_processes,
    patient_start,
    prestarted_workers_used,
    quiet_workers,
    shielded_processes,
    sigterm_left_alone,
)


def _values() -> list[Any]:
    found = [find(*name) for name in NAMES.values()]
    return [dict(value) if isinstance(value, dict) else value for value in found]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_replaced_name_is_restored(
    block: Callable[[], AbstractContextManager[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(find("ray.tune.execution.class_cache", "DEFAULT_ENV_VARS"), "SOME", "1")
    before = _values()
    within: list[Any] = []

    def fail() -> None:
        with block():
            within.append(_values())
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert within != [before]
    assert _values() == before


@pytest.mark.parametrize("block", BLOCKS)
def test_a_ray_without_the_names_is_left_unchanged(
    block: Callable[[], AbstractContextManager[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _values()
    monkeypatch.setattr(internals, "find", lambda *_: None)
    with block():
        assert _values() == before


def test_values_that_a_ray_without_the_names_cannot_provide_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(internals, "find", lambda *_: None)
    assert own_processes() == {}
    assert count_gpus() is None
    assert resources_here(None) is None
    assert resources_here(2) == {"CPU": usable_cpus(), "GPU": 2}


def test_an_idle_cache_with_other_methods_is_left_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        """Cache that a later version of Ray might have."""

    monkeypatch.setattr(f"{CONTROLLER}._ObjectCache", Other)
    with kept_processes():
        assert find(CONTROLLER, "_ObjectCache") is Other


TOKENS = """
import os
from tune_paddy.search.ray.internals import find, tokens_required
mode = find("ray._raylet", "get_authentication_mode")
before = mode()
with tokens_required():
    assert mode() != before and os.environ["RAY_AUTH_MODE"] == "token"
assert mode() == before and "RAY_AUTH_MODE" not in os.environ
os.environ["RAY_AUTH_MODE"] = "disabled"  # the user's choice
with tokens_required():
    assert mode() == before
"""


def test_tokens_are_required_within_the_block_unless_the_user_chose_otherwise() -> None:
    """In a process of its own: this one has a session that needs its token."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    subprocess.run([sys.executable, "-c", TOKENS], env=environment, check=True, timeout=600)


@pytest.fixture
def unregistered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let Ray's question about its node fail twice; return the questions so far."""
    asked: list[str] = []

    def get_node(_address: str, node: str) -> str:
        asked.append(node)
        if len(asked) <= 2:
            raise RuntimeError("not registered")
        return f"node {node}"

    monkeypatch.setattr("ray._private.services.get_node", get_node)
    return asked


@pytest.fixture
def raylet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program of that name, and hide the other children of this process: one may be a raylet, too."""
    program = tmp_path / "raylet"
    program.symlink_to(sys.executable)  # a copy cannot run where the folder for temporary files is noexec
    with subprocess.Popen([program, "-c", "import time; time.sleep(600)"]) as process:
        child = psutil.Process(process.pid)
        monkeypatch.setattr(psutil.Process, "children", lambda *_, **__: [child])
        yield process
        process.kill()


@pytest.mark.usefixtures("raylet")
def test_ray_waits_for_its_raylet_while_that_runs(unregistered: list[str]) -> None:
    """Ray gives up if a question fails after 30 s, so that a question must not fail."""
    with patient_start():
        assert find("ray._private.services", "get_node")("address", "a") == "node a"
    assert unregistered == ["a", "a", "a"]


def test_ray_does_not_wait_for_a_raylet_that_has_ended(
    unregistered: list[str], raylet: subprocess.Popen[bytes]
) -> None:
    raylet.kill()
    wait_for(lambda: psutil.Process(raylet.pid).status() == psutil.STATUS_ZOMBIE, 600)
    with patient_start(), pytest.raises(RuntimeError, match="not registered"):
        find("ray._private.services", "get_node")("address", "a")
    assert unregistered == ["a"]
