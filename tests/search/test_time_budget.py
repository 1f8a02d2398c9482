"""A search whose time for training is used up."""

from pathlib import Path

from tests.conftest import Finished, make_plan, searched
from tune_paddy.search.timing.budget import TimeBudget
from tune_paddy.tracking.runs import get_search, list_members

SPACE = """
search: {trials: 3, minutes: 60, concurrency: 1, retries: 0}
defaults: {pretrained: false, schedule: one_cycle, size: 32, batch_size: 32, tta: 0, flip: none}
recipes: [{arch: test_resnet, epochs: 500}]
spaces: [{name: nets, arch: test_resnet, lr: {low: 0.002, high: 0.01, log: true}}]
"""


def test_a_running_member_ends_with_its_epoch_and_can_be_resumed(finished: Finished, tmp_path: Path) -> None:
    """The search ends without an error, so that a selection can follow, and no other member begins."""
    plan = make_plan("used-up", finished.plan.dataset.root, tmp_path / "runs", SPACE)
    end = TimeBudget(0.0, 3600.0).training_end

    def clock() -> float:
        return end if any(plan.folder.glob("members/*/checkpoint-*.safetensors")) else 0.0

    (member,) = searched(plan, finished.store, clock=clock)
    assert member.outcome == "interrupted"
    assert any(plan.folder.glob("members/*/checkpoint-*.safetensors"))
    assert get_search(finished.store, "used-up").outcome == "finished"
    assert len(list_members(finished.store, "used-up")) == 1
