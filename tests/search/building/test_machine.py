"""The machine that a space is built for."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.spaces.building.facts import GENERIC, PRETRAINED, cpus, facts, gpu
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import InputError
from tune_paddy.core.timing.cost import StepCost
from tune_paddy.data.system.progress.stages import SILENT
from tune_paddy.search.building import machine as building
from tune_paddy.search.building.machine import machine_here, timed_machine
from tune_paddy.spaces.building.build import build_space
from tune_paddy.spaces.building.facts import Facts
from tune_paddy.training.forecast.planning import Gpu
from tune_paddy.training.timing.kinds import TimedKinds

ALONE = StepCost(3.0, 1.0, 1.0, 1.0, build=0.5)
"""Cost of the steps of any network."""


def timed_alone(configs: Sequence[MemberConfig], *_: Any, **__: Any) -> TimedKinds:
    """Return the same cost for all networks."""
    return TimedKinds(dict.fromkeys(configs, ALONE), tuple(configs), 0.0)


@pytest.fixture
def _two_large_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 24 CPUs and two GPUs that trials share."""
    planning = "tune_paddy.training.forecast.planning.find_trials_gpu"
    monkeypatch.setattr(planning, lambda mib: Gpu(mib or 80_000.0, GENERIC))
    monkeypatch.setattr(building, "resources_here", lambda _: {"CPU": 24, "GPU": 2})


@pytest.mark.usefixtures("_two_large_gpus")
@pytest.mark.parametrize(
    ("settings", "share", "at_once", "cpus"),
    [
        ({}, "auto", 8, 3),
        ({"gpu": "auto", "cpus": 1}, "auto", 8, 1),
        ({"gpu": "auto", "cpus": 4}, "auto", 6, 4),
        ({"gpu": "auto", "concurrency": 3}, "auto", 3, 3),
        ({"gpu": 1}, 1, 2, 8),
        ({"gpu": 0.5}, 0.5, 4, 6),
        ({"gpu_memory": 16_280.0}, 1, 2, 8),
    ],
)
def test_trials_at_once_on_gpus_are_those_that_share_them_and_have_cpus(
    settings: dict[str, Any], share: float | str, at_once: int, cpus: int
) -> None:
    """With `auto` a search runs as many as its CPUs allow, about four on a GPU."""
    found = machine_here(settings, None)
    assert (found.gpu, found.at_once, found.cpus) == (share, at_once, cpus)


@pytest.mark.usefixtures("_two_large_gpus")
def test_trials_that_share_a_gpu_are_planned_to_share_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four on each of two GPUs: a step takes four times as long as alone."""
    monkeypatch.setattr("tune_paddy.training.timing.kinds.time_kinds", timed_alone)
    machine, _ = timed_machine(facts(machine_here({}, None)), [], limit=1.0, progress=SILENT)
    assert machine.timed
    assert all(one.cost == ALONE.scaled(4) for one in machine.timed)


@pytest.mark.parametrize(
    "known",
    [
        facts(cpus(at_once=1, memory_mib=1700)),
        facts(gpu(700)),
        facts(cpus(at_once=1, memory_mib=1700), refused=dict.fromkeys(PRETRAINED, "have no weights")),
    ],
    ids=["CPU", "GPU", "without pretrained weights"],
)
def test_where_no_network_fits_the_memory_the_refusal_is_the_same_as_with_a_known_speed(known: Facts) -> None:
    """It names the memory and what to do about it."""
    with pytest.raises(InputError, match=r"^no network fits the ") as with_speed:
        build_space(known)
    unknown = replace(known, machine=replace(known.machine, timed=()))
    with pytest.raises(InputError, match=f"^{re.escape(str(with_speed.value))}$") as refusal:
        timed_machine(unknown, [], limit=1.0, progress=SILENT)
    assert refusal.value.options == with_speed.value.options


def test_networks_that_fit_the_memory_at_smaller_sides_alone_are_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For them a space can be built."""
    monkeypatch.setattr("tune_paddy.training.timing.kinds.time_kinds", timed_alone)
    known = facts(cpus(at_once=1, memory_mib=1950), refused=dict.fromkeys(PRETRAINED, "have no weights"))
    assert build_space(known).space.architectures()
    machine, _ = timed_machine(known, [], limit=1.0, progress=SILENT)
    assert {one.cost for one in machine.timed} == {ALONE}
