from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.batches.mixing import Mix, draw_mix, mix_batch

IMAGES = torch.arange(3, dtype=torch.float32).view(3, 1, 1, 1).expand(3, 3, 8, 10).contiguous()
SHARES = torch.eye(4)[[0, 1, 3]]


def test_mixup_mixes_images_and_targets_by_the_same_weights() -> None:
    mix = Mix(np.array([1, 2, 0]), np.array([1.0, 0.75, 0.5]), None)
    images, targets = mix_batch(IMAGES, SHARES, mix)
    assert images[:, 0, 0, 0].tolist() == [0.0, 1.25, 1.0]
    assert targets.tolist() == [[1, 0, 0, 0], [0, 0.75, 0, 0.25], [0.5, 0, 0, 0.5]]


def test_cutmix_pastes_the_box_of_the_partner_and_weighs_by_its_pixels() -> None:
    """A box of 4 x 5 of 8 x 10 pixels: a quarter of each target is the partner's."""
    mix = Mix(np.array([1, 2, 0]), np.ones(3), (0.25, 0.75, 0.5, 1.0))
    images, targets = mix_batch(IMAGES, SHARES, mix)
    expected = IMAGES.clone()
    expected[:, :, 2:6, 5:] = IMAGES[[1, 2, 0], :, 2:6, 5:]
    assert torch.equal(images, expected)
    assert targets.tolist() == [[0.75, 0.25, 0, 0], [0, 0.75, 0, 0.25], [0.25, 0, 0, 0.75]]


def test_mixing_leaves_the_images_it_was_given() -> None:
    before = IMAGES.clone()
    for box in (None, (0.0, 1.0, 0.0, 1.0)):
        mix_batch(IMAGES, SHARES, Mix(np.array([2, 0, 1]), np.full(3, 0.6), box))
    assert torch.equal(IMAGES, before)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 9),
    alphas=st.sampled_from([(0.2, 0.0), (0.0, 1.0), (4.0, 0.01), (0.001, 10.0)]),
)
def test_every_drawn_mix_gives_targets_that_sum_to_one_and_images_in_range(
    seed: int, n: int, alphas: tuple[float, float]
) -> None:
    config = MemberConfig(arch="test_vit", mixup=alphas[0], cutmix=alphas[1])
    mix = draw_mix(config, n, np.random.default_rng(seed))
    assert mix is not None
    assert sorted(mix.partner.tolist()) == list(range(n))
    images, targets = mix_batch(torch.rand(n, 3, 7, 5), torch.eye(n), mix)
    torch.testing.assert_close(targets.sum(1), torch.ones(n))
    assert targets.min() >= 0
    assert 0 <= images.min() <= images.max() <= 1


@pytest.mark.parametrize(("alphas", "kinds"), [((0, 0), {None}), ((0.4, 0), {"mixup"}), ((0, 1), {"cutmix"})])
def test_only_the_kinds_that_are_on_are_drawn(
    alphas: tuple[float, float], kinds: set[str | None], make_config: Callable[..., MemberConfig]
) -> None:
    assert set(drawn(make_config(mixup=alphas[0], cutmix=alphas[1]))) == kinds


def test_with_both_on_half_of_the_batches_get_each(make_config: Callable[..., MemberConfig]) -> None:
    kinds = drawn(make_config(mixup=0.4, cutmix=1))
    assert kinds.count("mixup") + kinds.count("cutmix") == 400
    assert 160 < kinds.count("mixup") < 240


def drawn(config: MemberConfig) -> list[str | None]:
    rng = np.random.default_rng(0)
    mixes = [draw_mix(config, 4, rng) for _ in range(400)]
    return [None if mix is None else "cutmix" if mix.box else "mixup" for mix in mixes]


def test_mixup_never_gives_the_partner_more_than_half(make_config: Callable[..., MemberConfig]) -> None:
    """As in fastai: an image keeps its own label's majority, so that none is counted for two."""
    mix = draw_mix(make_config(mixup=0.4), 5000, np.random.default_rng(0))
    assert mix is not None
    assert 0.5 <= mix.weight.min() < 0.51
    assert 0.99 < mix.weight.max() <= 1


def test_the_area_of_cutmix_follows_its_beta_distribution(make_config: Callable[..., MemberConfig]) -> None:
    """With alpha 1 the box covers half the area on average, before the border cuts it."""
    rng = np.random.default_rng(0)
    boxes = [draw_mix(make_config(cutmix=1.0), 1, rng) for _ in range(2000)]
    sides = np.array([mix.box for mix in boxes if mix and mix.box])
    heights, widths = sides[:, 1] - sides[:, 0], sides[:, 3] - sides[:, 2]
    assert sides.min() == 0
    assert sides.max() == 1
    inside = (sides[:, 0] > 0) & (sides[:, 1] < 1) & (sides[:, 2] > 0) & (sides[:, 3] < 1)
    np.testing.assert_allclose(heights[inside], widths[inside])
    assert 0.2 < (heights * widths).mean() < 0.5
