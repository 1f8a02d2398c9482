"""Timed kinds of members."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.timing.kinds import kind_of
from tune_paddy.training.timing.kinds import time_kinds
from tune_paddy.training.timing.operations import forward_operations
from tune_paddy.training.timing.steps import time_member


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return [str(path) for path in sorted(Path(folder).iterdir())]


def member(arch: str, size: int, **values: float) -> MemberConfig:
    return MemberConfig(arch=arch, size=size, batch_size=4, pretrained=False, **values)


def test_operations_grow_with_the_area_of_a_convolutional_network() -> None:
    small, large = (forward_operations("test_resnet", (side, side), 10) for side in (64, 128))
    assert large / small == pytest.approx(4.0, rel=0.1)


def test_a_kind_beyond_the_time_limit_is_scaled_by_its_operations(paths: list[str]) -> None:
    configs = [member("test_resnet", 32), member("test_resnet", 64)]
    found = time_kinds(configs, paths, n_classes=3, allow_gpu=False, limit=0.0)
    small, large = (found.costs[kind_of(config)] for config in configs)
    assert found.timed == (kind_of(configs[0]),)
    ratio = forward_operations("test_resnet", (64, 64), 3) / forward_operations("test_resnet", (32, 32), 3)
    assert large.train == pytest.approx(ratio * small.train)
    assert min(small.train, small.frozen, small.predict, small.build, found.decode) > 0


def test_the_steps_of_a_slow_network_are_timed_with_fewer_images(paths: list[str]) -> None:
    """The clock advances by a second at each look: whole batches of 64 images would take hours."""
    seconds = iter(range(10**9))
    config = MemberConfig(arch="test_resnet", size=32, batch_size=64, pretrained=False, tta=0)
    cost, _ = time_member(
        config, paths, n_classes=3, allow_gpu=False, limit=120.0, clock=lambda: float(next(seconds))
    )
    assert cost.train == pytest.approx(1 / 3)  # a second for a batch of three images: 120 s / (40 × 1 s)
