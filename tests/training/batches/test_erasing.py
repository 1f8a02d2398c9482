"""Random erasing."""

from collections.abc import Callable

import numpy as np
import torch

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.batches.erasing import Boxes, draw_boxes, erase

Make = Callable[..., MemberConfig]


def test_boxes_have_timms_areas_and_aspects_and_lie_inside(make_config: Make) -> None:
    """4000 images of 100 x 140 px; three in ten are erased."""
    boxes = draw_boxes(make_config(size=(100, 140), erasing=0.3), 4000, np.random.default_rng(0))
    assert boxes is not None
    top, bottom, left, right = boxes.edges.T
    tall, wide = bottom - top, right - left
    erased = tall > 0
    assert abs(erased.mean() - 0.3) < 0.03
    area = (tall * wide / (100 * 140))[erased]
    assert (area.min() < 0.03, area.max() > 0.3) == (True, True)
    assert abs(np.median(area) - 0.17) < 0.02
    aspect = (tall[erased] / wide[erased]).round(2)
    assert (aspect.min() >= 0.28, aspect.max() <= 3.6) == (True, True)
    assert (boxes.edges >= 0).all()
    assert (bottom.max() == 100, right.max() == 140) == (True, True)


def test_only_the_box_becomes_zero() -> None:
    """The second image has no box."""
    images = torch.rand(2, 3, 6, 8) + 1
    expected = images.clone()
    expected[0, :, 1:4, 2:8] = 0
    assert torch.equal(erase(images, Boxes(np.array([[1, 4, 2, 8], [0, 0, 0, 0]]))), expected)


def test_nothing_is_drawn_without_erasing(make_config: Make) -> None:
    assert draw_boxes(make_config(), 5, np.random.default_rng(0)) is None
