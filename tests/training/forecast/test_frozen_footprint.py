"""Memory of frozen members."""

from pathlib import Path

import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.training.forecast.footprint import forecast
from tune_paddy.training.forecast.planning import find_gpu, plan_space, plan_trial
from tune_paddy.training.networks.model import build_model


@pytest.mark.parametrize("head", ["concat_pool", "linear"])
def test_a_frozen_member_needs_its_weights_and_a_forward_pass(head: str, tmp_path: Path) -> None:
    size = (64, 64)
    trained, frozen = (
        forecast("test_resnet", size, head=head, frozen=it, cache=tmp_path) for it in (False, True)
    )
    model = build_model("test_resnet", 10, size=size, head=head, frozen=True)
    assert frozen.state_bytes == sum(t.nbytes for t in (*model.parameters(), *model.buffers()))
    assert frozen.raw_mib(64) == frozen.evaluation_bytes(64) / 2**20
    assert frozen.raw_mib(64) < trained.raw_mib(64)
    assert trained.batch_norm
    assert not frozen.batch_norm


def test_a_frozen_member_gets_a_smaller_share_of_a_gpu() -> None:
    gpu = find_gpu(mib=16280)
    trained, frozen = (
        plan_trial(
            MemberConfig(arch="test_resnet", size=640, batch_size=128, schedule=schedule),
            gpu,
            "auto",
            n_classes=10,
        )
        for schedule in ("fine_tune", "frozen")
    )
    assert frozen.gpu < trained.gpu
    assert frozen.accum == 1


@pytest.mark.parametrize(
    ("schedules", "rows"),
    [
        ("[frozen, one_cycle]", ["one_cycle", "frozen"]),
        ("[one_cycle, frozen, fine_tune]", ["fine_tune", "frozen"]),
        ("[one_cycle, fine_tune]", ["fine_tune"]),
        ("frozen", ["frozen"]),
    ],
)
def test_trained_and_frozen_members_of_a_sub_space_have_a_row_each(schedules: str, rows: list[str]) -> None:
    """Also where its other parameters have no effect on frozen members."""
    text = (
        f"defaults: {{epochs: 3, ema: 0.9}}\nspaces: [{{arch: test_resnet, size: 64, schedule: {schedules}}}]"
    )
    planned = list(plan_space(SearchSpace.parse(text, name="x"), find_gpu(mib=16280), 1.0))
    assert [row.to_dict()["schedule"] for row in planned] == rows
    memory = [row.plan.forecast_mib for row in planned]
    assert memory == sorted(memory, reverse=True)
