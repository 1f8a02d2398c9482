"""Calm epochs at the end of a schedule."""

from collections.abc import Callable

import numpy as np
import pytest

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.member_data import Parts
from tune_paddy.training.batches.augment import draw
from tune_paddy.training.batches.calm import config_of_epoch
from tune_paddy.training.batches.loaders import ImageReader, TrainLoader

STRONG = {"mixup": 0.4, "randaugment": 9, "erasing": 1.0, "flip": "horizontal"}
Make = Callable[..., MemberConfig]


@pytest.mark.parametrize(("schedule", "first"), [("fine_tune", 4), ("one_cycle", 3)])
def test_the_last_epochs_of_the_whole_schedule_are_calm(schedule: str, first: int, make_config: Make) -> None:
    """Five epochs, two of them calm, and a frozen one before with fine_tune."""
    config = make_config(schedule=schedule, epochs=5, calm_epochs=2, **STRONG)
    calm = [config_of_epoch(config, epoch) is not config for epoch in range(config.total_epochs)]
    assert calm == [epoch >= first for epoch in range(config.total_epochs)]


def test_a_calm_epoch_has_flips_and_mild_crops_alone(
    parts: Parts, reader: ImageReader, make_config: Make
) -> None:
    """Its images come in the same order as without calm epochs."""
    config = make_config(epochs=2, calm_epochs=1, **STRONG)
    train = TrainLoader(reader, parts.train.labels, config)
    for train.epoch in (1, 2):
        batch = next(iter(train))
        assert [batch.mix is None, batch.operations is None, batch.boxes is None] == [train.epoch == 2] * 3
    assert (batch.draws.crop >= np.sqrt(0.9)).all()
    assert len(set(batch.draws.dihedral)) == 2
    still = draw(
        make_config(max_rotate=0, max_zoom=1, max_warp=0, max_lighting=0), 4, np.random.default_rng(0)
    )
    for name in ("angle", "zoom", "warp_y", "warp_x", "brightness", "contrast"):
        assert set(np.abs(getattr(batch.draws, name))) == set(np.abs(getattr(still, name))), name
    strong = TrainLoader(reader, parts.train.labels, make_config(epochs=2, **STRONG))
    strong.epoch = 2
    assert next(iter(strong)).labels.tolist() == batch.labels.tolist()
