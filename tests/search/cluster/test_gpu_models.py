"""Which model of GPU each trial of a mixed cluster gets."""

from typing import Any

import pytest

from tune_paddy.core.config import MemberConfig, SearchSettings
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.cluster.gpu_models import (
    GpuModel,
    ModelPlanner,
    absent_models,
    gpu_models,
    models_note,
    wanted_resources,
)
from tune_paddy.search.cluster.nodes import Node
from tune_paddy.search.gpu_shares import trial_planner

SMALL, LARGE = GpuModel("T4", "Tesla T4", 14_900, 2), GpuModel("A100", "A100 40GB", 40_000, 1)
MEMBER = MemberConfig(arch="test_resnet")


def node(label: str, gpus: float, *mib: float, **more: float) -> Node:
    """Return a machine with GPUs; their driver may answer nothing."""
    resources = {"CPU": 8.0, "GPU": gpus, f"accelerator_type:{label}": 1.0, **more}
    return Node("lab", resources, {"gpus": [[f"NVIDIA {label}", one] for one in mib]}, 0.0)


def test_machines_with_the_same_gpu_are_one_model_whose_smallest_memory_counts() -> None:
    idle = Node("cpus", {"CPU": 8.0}, {"gpus": [["unused", 100.0]]}, 0.0)
    nodes = [node("T4", 2, 15_000, 14_900), idle, node("A100", 1, 40_000), node("T4", 1, 15_100)]
    expected = (GpuModel("A100", "NVIDIA A100", 40_000, 1), GpuModel("T4", "NVIDIA T4", 14_900, 3))
    assert gpu_models(nodes) == gpu_models(nodes[::-1]) == expected
    assert models_note(gpu_models(nodes)) == (
        "Each trial is planned for the model of GPU that it gets: 1 A100 of 40,000 MiB, 3 T4 of 14,900 MiB"
    )
    assert models_note(()) is None


def test_the_memory_of_a_well_known_model_needs_no_driver() -> None:
    assert [model.mib for model in gpu_models([node("T4", 1), node("L4", 1)])] == [22_480, 14_900]


@pytest.mark.parametrize(
    "nodes",
    [
        [node("T4", 2, 14_900), node("T4", 1, 15_000)],
        [node("T4", 1, 14_900), node("Unheard-Of", 1)],
        [node("T4", 1, 14_900), Node("unnamed", {"GPU": 1.0}, {"gpus": [["A100", 40_000.0]]}, 0.0)],
        [node("T4", 1, 14_900), node("L4", 2, 22_000, 14_000, **{"accelerator_type:T4": 1.0})],
        [],
    ],
    ids=["one model", "memory unknown", "no label", "two labels", "no machine"],
)
def test_gpus_that_cannot_be_told_apart_are_planned_as_equal(nodes: list[Node]) -> None:
    assert gpu_models(nodes) == ()


def planned(small: tuple[float, float], large: tuple[float, float]) -> ModelPlanner:
    """Return a planner with (share, forecast in MiB) on each model; a share is given its part of the GPU."""
    needs = {"T4": small, "A100": large}

    def plan(_config: MemberConfig, model: GpuModel) -> TrialMemory:
        share, forecast = needs[model.label]
        budget = share * model.mib
        return TrialMemory(share, 1, forecast_mib=forecast, budget_mib=budget, accelerator=model.label)

    return ModelPlanner((SMALL, LARGE), plan)


def test_a_trial_gets_the_model_on_which_it_fits() -> None:
    assert planned((1.0, 20_000), (0.5, 20_000))(MEMBER).accelerator == "A100"
    assert planned((1.0, 90_000), (1.0, 90_000))(MEMBER).accelerator == "A100", "fits none: the largest"


def test_trials_spread_over_the_models_by_what_is_free() -> None:
    """Two T4 take one trial each, and an A100 takes four."""
    planner, running = planned((1.0, 9_000), (0.25, 9_000)), list[TrialMemory]()
    for _ in range(6):
        running.append(planner(MEMBER, running))
    assert sorted(memory.accelerator for memory in running) == ["A100"] * 4 + ["T4"] * 2
    assert planner(MEMBER, running[1:]).accelerator == running[0].accelerator, "the place that is free again"


def test_the_forecast_is_that_of_the_model() -> None:
    """A member that needs half of a small GPU needs less of a large one, and its allocator is limited so."""
    settings = SearchSettings(gpu="auto")
    config = MemberConfig(arch="test_vit", size=160, batch_size=64)
    plans: dict[str, TrialMemory] = {}
    for model in (GpuModel("Tiny", "tiny", 3_000, 1), GpuModel("Huge", "huge", 48_000, 1)):
        plans[model.label] = trial_planner(settings, 10, (model,))(config)
    assert plans["Tiny"].accelerator == "Tiny"
    assert plans["Tiny"].gpu > plans["Huge"].gpu == 0.125
    assert plans["Huge"].budget_mib == 6_000


def test_memory_that_the_user_states_applies_to_all_models() -> None:
    planner = trial_planner(SearchSettings(gpu=0.5, gpu_memory=8_000), 10, (SMALL, LARGE))
    assert (planner(MEMBER).budget_mib, planner(MEMBER).accelerator) == (4_000, "")


def test_a_trial_asks_ray_for_its_model() -> None:
    assert wanted_resources(TrialMemory(0.5, 1)) == {"GPU": 0.5}
    wanted: dict[str, Any] = wanted_resources(TrialMemory(0.5, 1, accelerator="T4"))
    assert wanted == {"GPU": 0.5, "accelerator_type:T4": 0.001}


def test_a_model_is_absent_when_no_connected_machine_has_it() -> None:
    wanted = [TrialMemory(1.0, 1, accelerator=label) for label in ("T4", "A100", "T4", "")]
    assert absent_models(wanted, [{"CPU": 1.0}, {"accelerator_type:A100": 1.0}]) == ["T4"]
    assert absent_models(wanted, []) == ["A100", "T4"]
