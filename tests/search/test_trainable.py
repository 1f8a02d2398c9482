from collections.abc import Callable
from typing import Any

import pytest
import torch
from mlflow import MlflowException

from tests.conftest import Finished
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import MIB, TrialMemory
from tune_paddy.data.member_data import make_parts
from tune_paddy.data.system import repetition
from tune_paddy.search import trainable
from tune_paddy.search.plan import stored_split
from tune_paddy.search.ray.internals import SPENT
from tune_paddy.search.trainable import TrialContext, run_trial
from tune_paddy.search.trial import Trial
from tune_paddy.tracking.client import call
from tune_paddy.tracking.memory import measured_stacks
from tune_paddy.tracking.runs import list_members
from tune_paddy.tracking.searches import start_search
from tune_paddy.tracking.store import Store
from tune_paddy.training import attempt, gpu_memory
from tune_paddy.training.devices import Device

CONFIG = MemberConfig(arch="test_resnet", size=32, epochs=1, batch_size=16, tta=0, pretrained=False)
MEMORY = TrialMemory(gpu=0.5, accum=8)


def run_here(
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    memory: TrialMemory = MEMORY,
    *,
    allow_gpu: bool = True,
) -> dict[str, Any]:
    """Run the only trial of a search called `name` in this process; return its last report."""
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(trainable.tune, "report", reports.append)
    make_trial(finished, name, CONFIG, memory, allow_gpu=allow_gpu)()
    return reports[-1]


def make_trial(
    finished: Finished,
    name: str,
    config: MemberConfig,
    memory: TrialMemory = MEMORY,
    *,
    allow_gpu: bool = False,
) -> Callable[[], None]:
    """Start a search called `name` in the record; return a function that runs its only trial."""
    context = TrialContext(
        store=finished.store,
        search=name,
        parent_run_id=start_search(finished.store, name=name, params={}, tags={}),
        folder=finished.runs / name,
        cpus=1,
        allow_gpu=allow_gpu,
        objective="log_loss",
        weights_dir=None,
        stall_minutes=None,
    )
    trial = Trial(number=0, member="m", origin="o", config=config, memory=memory)
    parts = make_parts(finished.plan.dataset, stored_split(finished.plan))
    return lambda: run_trial(trial.to_config(), context=context, parts=parts)


@pytest.mark.parametrize(
    ("failures", "outcome", "allow_gpu"),
    [(1, "finished", True), (9, "infeasible", True), (1, "finished", False)],
)
def test_a_process_that_ran_out_of_gpu_memory_is_spent_whatever_the_outcome_of_its_trial(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, failures: int, outcome: str, *, allow_gpu: bool
) -> None:
    attempts = iter([torch.OutOfMemoryError("CUDA out of memory")] * failures)
    train = attempt.Attempt._train

    def run_out(self: attempt.Attempt, *arguments: Any) -> None:
        for error in attempts:
            raise error
        train(self, *arguments)

    monkeypatch.setattr(attempt.Attempt, "_train", run_out)
    last = run_here(finished, monkeypatch, f"{outcome}-{allow_gpu}", allow_gpu=allow_gpu)
    assert last["outcome"] == outcome
    assert last[SPENT] == allow_gpu


class Driver:
    """Reports that this process takes 1,300 MiB."""

    def knows_process(self) -> bool:
        """Return True, as outside a container."""
        return True

    def process_mib(self) -> float:
        """Return the memory of the process; torch has reserved 800 MiB of it, see below."""
        return 1300.0


def test_calibrations_learn_from_the_memory_that_a_trial_measured(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training is real, on the CPU; the GPU's figures are stubs."""
    stack = {"device": "cuda", "gpu": "Tesla T4", "torch": "2.15.0", "driver": "580"}
    caps: list[float | None] = []
    monkeypatch.setattr(Device, "limit_memory", lambda _self, mib: caps.append(mib))
    monkeypatch.setattr(Device, "peak_mib", lambda _self: 900.0)
    monkeypatch.setattr(attempt, "describe_stack", lambda _device: stack)
    monkeypatch.setattr(gpu_memory, "process_meter", Driver)
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda: 800 * MIB)
    share = TrialMemory(0.25, 2, 3000, context_mib=700, raw_mib=1000, forecast_mib=1750, budget_mib=3700)
    assert run_here(finished, monkeypatch, "measured", share)["memory/measured_to_forecast"] == 0.8
    assert caps == [3000]
    (recorded,) = list_members(finished.store, "measured")
    assert recorded.metrics["memory/forecast_mib"] == 1750
    assert recorded.tags["tune_paddy.memory_source"] == "process"
    (learnt,) = measured_stacks(finished.store, "T4").stacks
    assert learnt.versions == {"torch": "2.15.0", "driver": "580"}
    (point,) = learnt.points
    assert (point.raw_mib, point.process_mib, point.reserved_mib) == (1000, 900 + 1300 - 800, 900)


class KilledError(Exception):
    """Simulates the death of a process."""


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_epoch_is_recorded_once_if_its_process_died_before_or_after_it_was(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    """The process dies between the checkpoint and the record, and once more before it reports to Ray."""
    deaths = ["report", "log"]
    log = trainable.log_epoch

    def log_unless_killed(store: Store, run_id: str, metrics: dict[str, float], step: int) -> None:
        if step == epoch and "log" in deaths:
            deaths.remove("log")
            raise KilledError
        log(store, run_id, metrics, step)

    def report(result: dict[str, Any]) -> None:
        if result["epoch"] == epoch + 1 and "report" in deaths:
            deaths.remove("report")
            raise KilledError

    monkeypatch.setattr(trainable, "log_epoch", log_unless_killed)
    monkeypatch.setattr(trainable.tune, "report", report)
    name = f"died-{epoch}"
    run = make_trial(finished, name, CONFIG.model_copy(update={"epochs": 3, "schedule": "one_cycle"}))
    with pytest.raises(KilledError):
        run()
    with pytest.raises(KilledError):
        run()
    run()
    (member,) = list_members(finished.store, name)
    assert member.outcome == "finished"
    for metric in ("train_loss", "system/process_rss_mib"):
        points = finished.store.client.get_metric_history(member.run_id, metric)
        assert [point.step for point in points] == [1, 2, 3], metric


def test_a_trial_that_waits_for_the_record_is_not_taken_for_one_that_hangs(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process would end itself after `stall_minutes`, which may be fewer than a call waits."""
    log, alive, told = trainable.log_epoch, trainable.StallWatch.alive, list[str]()

    def log_after_an_outage(*arguments: Any) -> None:
        answers = iter([MlflowException("Response: 503 Server Error"), None])

        def ask() -> None:
            if (answer := next(answers)) is not None:
                raise answer

        told.clear()
        call(ask)
        assert told == ["alive"]
        log(*arguments)

    def noted(watch: trainable.StallWatch) -> None:
        told.append("alive")
        alive(watch)

    monkeypatch.setattr(repetition, "pauses", lambda: iter([0.0] * 9))
    monkeypatch.setattr(trainable, "log_epoch", log_after_an_outage)
    monkeypatch.setattr(trainable.StallWatch, "alive", noted)
    assert run_here(finished, monkeypatch, "patient", allow_gpu=False)["outcome"] == "finished"
