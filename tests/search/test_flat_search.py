"""A search that ends since more time is not expected to pay."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import Finished, make_plan
from tests.search.here import trained_here
from tune_paddy.core.timing import gains
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.search.preflight import ready_session
from tune_paddy.search.resuming.history import earlier_sessions, outcomes_with_curve
from tune_paddy.search.resuming.plan import resumed_plan
from tune_paddy.search.run import run_search
from tune_paddy.search.watchers import progress
from tune_paddy.tracking.history import read_recorded_search
from tune_paddy.tracking.runs import get_search

SPACE = """
search: {trials: 12, concurrency: 1, retries: 0, stop_when_flat: true}
defaults: {pretrained: false, schedule: one_cycle, size: 32, epochs: 1, batch_size: 32, tta: 0, flip: none}
recipes: [{arch: test_resnet}]
spaces: [{name: nets, arch: test_resnet, lr: {low: 0.002, high: 0.01, log: true}}]
"""


def test_it_ends_with_a_reason_and_an_ensemble_and_goes_on_without_the_setting(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here any curve counts as flat from its first point on."""
    for module, name, value in (
        (gains, "FLAT", 1.0),
        (gains, "LEAST_POINTS", 1),
        (progress, "LEAST_FLAT", 1),
        (progress, "LEAST_TRAINED", 1),
    ):
        monkeypatch.setattr(module, name, value)
    plan = make_plan("flat", finished.plan.dataset.root, tmp_path / "runs", SPACE)
    output = io.StringIO()
    with trained_here(), ready_session(plan) as ready:
        members = run_search(ready, finished.store, console=Console(file=output, width=200))
    assert 1 <= len(members) < 12
    assert {member.outcome for member in members} == {"finished"}
    assert output.getvalue().splitlines()[-1].startswith("The search ends early (`stop_when_flat`): ")
    search = get_search(finished.store, "flat")
    assert (search.outcome, search.tags["tune_paddy.ended_by"]) == ("finished", "flat")
    assert build_ensemble(finished.store, ["flat"], folder=plan.folder).submission is not None
    for setting, goes_on in ((True, False), (False, True)):
        again = resumed_plan(search, finished.store, settings={"stop_when_flat": setting})
        recorded = read_recorded_search(finished.store, "flat", curves_of=outcomes_with_curve(again))
        assert earlier_sessions(again, recorded).leaves_work(again) == goes_on
