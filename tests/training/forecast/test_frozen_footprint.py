"""Memory of frozen members."""

from pathlib import Path

import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.forecast.footprint import forecast
from tune_paddy.training.forecast.planning import find_gpu, plan_trial
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
