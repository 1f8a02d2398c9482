"""GPU shares in a real search: Ray is started with one GPU, which the trials do not find."""

import pytest
import torch

from tests.search.conftest import SPACE, Odd
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import TunePaddyError
from tune_paddy.core.memory import TrialMemory
from tune_paddy.search.gpu_shares import trial_planner
from tune_paddy.search.trainable import memory_metrics, memory_words
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.training.forecast import planning


@pytest.mark.skipif(torch.cuda.is_available(), reason="trials find the GPU of this machine")
def test_trials_with_automatic_shares_run_and_record_their_plan(odd: Odd) -> None:
    members = odd.members
    assert {member.tags["tune_paddy.gpu_share"] for member in members} == {"0.125"}
    trained = [member for member in members if member.outcome == "finished"]
    assert trained
    assert {member.tags["tune_paddy.device"] for member in trained} == {"cpu"}
    assert all(member.tags["tune_paddy.torch"] and member.tags["tune_paddy.timm"] for member in trained)
    assert not any("memory/measured_mib" in member.metrics for member in members)


def test_an_infeasible_trial_is_reported_with_its_forecast_and_its_budget() -> None:
    memory = TrialMemory(gpu=0.25, accum=8, raw_mib=3000, forecast_mib=4210, budget_mib=4070)
    assert memory_words(memory) == (" (forecast 4,210 MiB with accum 8, given 4,070 MiB, 0.25 of a GPU)")
    assert memory_words(TrialMemory(gpu=0, accum=1)) == ""
    blind = TrialMemory(gpu=0.25, accum=1, budget_mib=4070)
    assert memory_words(blind) == " (no forecast with accum 1, given 4,070 MiB, 0.25 of a GPU)"


@pytest.mark.parametrize(("gpu", "mib"), [("0.25", 3000), ("auto", 12_000)])
def test_a_trial_whose_forecast_fails_keeps_its_share_and_its_memory_limit(
    gpu: str, mib: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise TunePaddyError("the memory of test_vit cannot be forecast")

    monkeypatch.setattr(planning, "forecast", failing)
    space = SPACE.replace("gpu: auto", f"gpu: {gpu}")
    give = trial_planner(SearchSpace.parse(space, name="blind").settings, n_classes=10)
    memory = give(MemberConfig(arch="test_vit", batch_size=16, accum=4))
    assert (memory.gpu, memory.accum) == (1.0 if gpu == "auto" else 0.25, 4)
    assert memory.allocator_mib == mib - memory.context_mib


def test_a_measurement_is_compared_with_its_forecast_only_at_the_planned_accum() -> None:
    memory = TrialMemory(gpu=0.5, accum=2, raw_mib=1000, forecast_mib=2000, budget_mib=4000)
    assert memory_metrics(memory, accum=2, measured_mib=1900)["memory/measured_to_forecast"] == 0.95
    assert "memory/measured_to_forecast" not in memory_metrics(memory, accum=4, measured_mib=1200)
