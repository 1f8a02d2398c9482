"""What a search says about its members before they train."""

import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import Finished
from tune_paddy.core.config import MemberConfig
from tune_paddy.core.memory import TrialMemory
from tune_paddy.core.timing.cost import StepCost
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.search import run as search_run
from tune_paddy.search.plan import SearchPlan, preview
from tune_paddy.search.preflight import ReadyPlan, preflight
from tune_paddy.search.resuming.history import FIRST_SESSION
from tune_paddy.search.timing import at_start
from tune_paddy.search.timing.at_start import start_lines
from tune_paddy.tracking.store import open_store

COST = StepCost(train=0.01, frozen=0.01, predict=0.0, tta_pass=0.0, build=0.0)


@pytest.fixture(scope="module", autouse=True)
def _one_schema(one_schema: None) -> None:
    """Create the record quickly."""


@pytest.fixture
def ready(finished: Finished) -> ReadyPlan:
    settings = finished.plan.settings.override({"minutes": 60})
    return preflight(replace(finished.plan, settings=settings), {"CPU": 2.0})


def with_record(monkeypatch: pytest.MonkeyPatch, plan: SearchPlan, share: float) -> None:
    """Record members of that share of the kinds of a plan."""
    kinds = list(dict.fromkeys(kind_of(one.config) for one in preview(plan, 50).proposals))
    known = dict.fromkeys(kinds[: round(share * len(kinds))], COST)
    monkeypatch.setattr(at_start, "recorded_costs", lambda *_, **__: known)


def test_the_record_tells_how_many_members_the_time_buys(
    ready: ReadyPlan, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_record(monkeypatch, ready.plan, 1.0)
    (line,) = start_lines(ready, finished.store, FIRST_SESSION, 1e6)
    assert line == (
        "`minutes` is 60: about 4 members end in time (4 to 4), by earlier members of their kinds"
    )
    (line,) = start_lines(ready, finished.store, FIRST_SESSION, 0.1)
    assert "about 0 members" in line


def test_a_search_with_a_time_limit_begins_with_the_number_of_members_that_it_buys(
    ready: ReadyPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(ready.plan, name="quoted", folder=tmp_path / "quoted")
    with_record(monkeypatch, plan, 1.0)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    store = open_store(uri, experiment="quoted", artifact_root=tmp_path / "artifacts", create=True)
    output, training = io.StringIO(), []
    monkeypatch.setattr(search_run, "run_trials", lambda *_, **__: training.append(output.getvalue()))
    search_run.run_search(replace(ready, plan=plan), store, console=Console(file=output, width=200))
    (before,) = training
    assert before.startswith("`minutes` is 60: about 4 members end in time")


def test_without_members_of_their_kinds_or_a_limit_nothing_is_told(
    ready: ReadyPlan, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_record(monkeypatch, ready.plan, 0.0)
    assert start_lines(ready, finished.store, FIRST_SESSION, 1e6) == []
    with_record(monkeypatch, ready.plan, 1.0)
    unlimited = replace(ready, plan=finished.plan)
    assert start_lines(unlimited, finished.store, FIRST_SESSION, math.inf) == []


def test_the_memory_of_the_first_members_is_told_on_a_gpu(ready: ReadyPlan, finished: Finished) -> None:
    def planned(config: MemberConfig, running: object = ()) -> TrialMemory:  # noqa: ARG001 a `Planner`
        return TrialMemory(0.5, 2, forecast_mib=5300.0, budget_mib=8140.0)

    unlimited = replace(ready, plan=finished.plan, at_once=2, memory_of=planned)
    (line,) = start_lines(unlimited, finished.store, FIRST_SESSION, math.inf)
    assert line == (
        "GPU memory by forecast: 0000-test_resnet-32 5,300 MiB of 8,140 (accum 2), "
        "0001-test_convnext-32 5,300 MiB of 8,140 (accum 2)"
    )
