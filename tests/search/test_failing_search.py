"""A search whose members fail one after another."""

from pathlib import Path

import pytest

from tests.conftest import Finished, make_plan, searched
from tests.search.here import trained_here
from tune_paddy.core.errors import MembersFailError
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.search.resuming.history import earlier_sessions, outcomes_with_curve
from tune_paddy.search.resuming.plan import resumed_plan
from tune_paddy.search.stopping.failures import MOST
from tune_paddy.tracking.history import read_recorded_search
from tune_paddy.tracking.runs import get_search, list_members

SPACE = """
search: {trials: 30, concurrency: 1, retries: 0}
defaults: {schedule: one_cycle, size: 32, epochs: 1, batch_size: 32, tta: 0, flip: none}
recipes: [{arch: test_resnet, pretrained: false}]
spaces:
  - name: gone
    arch: test_resnet
    pretrained: no-such-weights.safetensors
    lr: {low: 0.002, high: 0.01, log: true}
"""


def test_it_ends_with_the_reason_can_be_selected_from_and_can_be_resumed(
    finished: Finished, tmp_path: Path
) -> None:
    plan = make_plan("failing", finished.plan.dataset.root, tmp_path / "runs", SPACE)
    with trained_here(), pytest.raises(MembersFailError, match=r"0010-\S+: .*no-such-weights.safetensors"):
        searched(plan, finished.store)
    outcomes = [member.outcome for member in list_members(finished.store, "failing")]
    assert sorted(outcomes) == ["failed"] * MOST + ["finished"]
    search = get_search(finished.store, "failing")
    assert search.outcome == "interrupted"
    assert build_ensemble(finished.store, ["failing"], folder=plan.folder).submission is not None
    again = resumed_plan(search, finished.store, settings={})
    recorded = read_recorded_search(finished.store, "failing", curves_of=outcomes_with_curve(again))
    assert earlier_sessions(again, recorded).leaves_work(again)
