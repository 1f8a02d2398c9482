"""A search whose members fail one after another."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.conftest import Finished, make_plan, searched
from tests.search.here import trained_here
from tune_paddy.core.errors import MembersFailError
from tune_paddy.ensemble.build import build_ensemble
from tune_paddy.search import run
from tune_paddy.search.plan import SearchPlan
from tune_paddy.search.resuming.history import earlier_sessions, outcomes_with_curve
from tune_paddy.search.resuming.plan import resumed_plan
from tune_paddy.search.stopping.failures import MOST
from tune_paddy.search.watchers import live_ensemble
from tune_paddy.tracking.history import read_recorded_search
from tune_paddy.tracking.pool import load_member
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


@pytest.fixture(scope="module")
def failing(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> SearchPlan:
    """A search with a finished member, which ended for its failures."""
    runs = tmp_path_factory.mktemp("failing")
    plan = make_plan("failing", finished.plan.dataset.root, runs, SPACE)
    with trained_here(), pytest.raises(MembersFailError, match=r"0010-\S+: .*no-such-weights.safetensors"):
        searched(plan, finished.store)
    assert get_search(finished.store, "failing").outcome == "interrupted"
    return plan


def test_it_ends_with_the_reason_can_be_selected_from_and_can_be_resumed(
    finished: Finished, failing: SearchPlan
) -> None:
    outcomes = [member.outcome for member in list_members(finished.store, "failing")]
    assert sorted(outcomes) == ["failed"] * MOST + ["finished"]
    search = get_search(finished.store, "failing")
    assert build_ensemble(finished.store, ["failing"], folder=failing.folder).submission is not None
    again = resumed_plan(search, finished.store, settings={})
    recorded = read_recorded_search(finished.store, "failing", curves_of=outcomes_with_curve(again))
    assert earlier_sessions(again, recorded).leaves_work(again)


@pytest.mark.usefixtures("failing")
def test_a_resumed_search_knows_the_weights_of_its_members_at_its_first_proposal(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray asks for it while another thread still reads them."""

    def slowly(*which: Any) -> Any:
        time.sleep(1)
        return load_member(*which)

    known: list[Mapping[str, float]] = []
    monkeypatch.setattr(live_ensemble, "load_member", slowly)
    monkeypatch.setattr(run, "run_trials_on_ray", lambda *args, **_: known.append(args[2]._weights()))
    searched(resumed_plan(get_search(finished.store, "failing"), finished.store, settings={}), finished.store)
    assert list(known[0].values()) == [1.0]
