"""Trials that wait for a machine that is gone are told, take no place, and end a search that idles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.cluster.absent import PATIENCE, AbsentMachines
from tune_paddy.search.cluster.places import SECONDS
from tune_paddy.search.stopping.interruption import Interruption
from tune_paddy.search.trial import Trial


@dataclass
class Cluster:
    """Machines that come and go, and what was said and failed meanwhile."""

    machines: list[Mapping[str, float]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    now: float = 0.0


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    found = Cluster()
    monkeypatch.setattr(Interruption, "fail", lambda _, failure: found.failures.append(failure))
    return found


def watch(cluster: Cluster) -> AbsentMachines:
    return AbsentMachines(
        Interruption(), cluster.said.append, lambda: cluster.machines, clock=lambda: cluster.now
    )


def ray_trial(status: str, accelerator: str = "T4") -> Any:
    memory = TrialMemory(1.0, 1, accelerator=accelerator)
    trial = Trial(0, "m", "o", MemberConfig(arch="test_resnet"), memory)
    return SimpleNamespace(status=status, config=trial.to_config())


def test_trials_that_wait_for_a_machine_that_is_gone_are_told_once(cluster: Cluster) -> None:
    watcher, trials = watch(cluster), [ray_trial("PENDING"), ray_trial("PENDING", "L4"), ray_trial("RUNNING")]
    cluster.machines = [{"accelerator_type:L4": 1.0}]
    for _ in range(3):
        watcher.on_step_begin(0, trials)
        cluster.now += SECONDS
    (line,) = cluster.said
    assert line.startswith("1 trial waits for a machine with T4: none is connected; connect one, or")
    assert watcher.waiting == 1
    cluster.machines = [{"accelerator_type:L4": 1.0}, {"accelerator_type:T4": 1.0}]
    watcher.on_step_begin(0, trials)
    assert (watcher.waiting, len(cluster.said)) == (0, 1)


@pytest.mark.parametrize(("running", "ends"), [("RUNNING", False), ("TERMINATED", True)])
def test_a_search_that_only_waits_for_such_a_machine_ends(cluster: Cluster, running: str, ends: bool) -> None:
    watcher, trials = watch(cluster), [ray_trial("PENDING"), ray_trial(running, "L4")]
    watcher.on_step_begin(0, trials)
    cluster.now += PATIENCE
    watcher.on_step_begin(0, trials)
    assert bool(cluster.failures) == ends


def test_trials_that_may_run_anywhere_are_never_looked_up(cluster: Cluster) -> None:
    watcher = watch(cluster)
    watcher.on_step_begin(0, [ray_trial("PENDING", "")])
    assert (watcher.waiting, cluster.said) == (0, [])
