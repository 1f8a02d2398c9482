"""RandAugment and TrivialAugment against torchvision's own transforms."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor
from torchvision.transforms.v2 import RandAugment, TrivialAugmentWide

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.batches.augment import augment, draw
from tune_paddy.training.batches.operations import (
    KINDS,
    STRONGEST,
    Operations,
    draw_operations,
    operation_matrices,
    recolour,
)

SIZE = (48, 64)
COLOURS = KINDS[6:]
MAPS = KINDS[1:6]
Make = Callable[..., MemberConfig]


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """Two parts of a photograph, uint8 [2, 3, 48, 64]."""
    pixels = torch.from_numpy(load_sample_image("flower.jpg").copy()).permute(2, 0, 1)
    return torch.stack([pixels[:, 100:148, 200:264], pixels[:, 200:248, 300:364]])


def one(name: str, amount: float, n: int) -> Operations:
    """Return the same single operation for `n` images."""
    return Operations(np.full((n, 1), KINDS.index(name)), np.full((n, 1), amount))


def torchvisions(images: Tensor, name: str, magnitude: float) -> Tensor:
    """Return torchvision's result of an operation, float, values 0..1."""
    transform = RandAugment(interpolation="bilinear", fill=0)
    return transform._apply_image_or_video_transform(
        images / 255, name, magnitude, transform.interpolation, transform._fill
    )


MAGNITUDES = {"Posterize": [(2, 6), (4, 4)], "Solarize": [(0.3, 0.7), (1.0, 0.0)]}
"""Operation → its amounts here and the same in torchvision."""


@pytest.mark.parametrize("name", COLOURS)
def test_every_colour_operation_is_torchvisions(name: str, photo: Tensor) -> None:
    for amount, magnitude in MAGNITUDES.get(name, [(0.6, 0.6), (-0.6, -0.6)]):
        own = recolour(photo / 255, one(name, amount, 2))
        torch.testing.assert_close(own, torchvisions(photo, name, magnitude), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("ShearX", 0.2),
        ("ShearY", -0.3),
        ("TranslateX", 9),
        ("TranslateY", -5),
        ("Rotate", 20),
        ("Rotate", -70),
    ],
)
def test_every_map_is_torchvisions_inside_the_image(name: str, amount: float, photo: Tensor) -> None:
    """Outside it the image is reflected, where torchvision paints black."""
    still = draw(
        MemberConfig(
            arch="a",
            size=SIZE,
            min_scale=1,
            flip="none",
            max_rotate=0,
            max_zoom=1,
            max_warp=0,
            max_lighting=0,
        ),
        2,
        np.random.default_rng(0),
    )
    own = augment(photo, still, SIZE, one(name, amount, 2))
    inside = torchvisions(torch.full_like(photo, 255), name, amount) > 1 - 1e-6
    assert 0.3 < inside.float().mean() < 1
    torch.testing.assert_close(own[inside], torchvisions(photo, name, amount)[inside], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "changes", [{"randaugment": 7}, {"randaugment": STRONGEST}, {"trivialaugment": True}]
)
def test_kinds_and_ranges_are_torchvisions(changes: dict[str, Any]) -> None:
    """But translations, which torchvision rounds down to whole pixels."""
    drawn = draw_operations(MemberConfig(arch="a", size=SIZE, **changes), 20_000, np.random.default_rng(0))
    assert drawn is not None
    steps = [changes["randaugment"]] if "randaugment" in changes else range(STRONGEST + 1)
    assert drawn.kind.shape == (20_000, 2 if "randaugment" in changes else 1)
    space = (RandAugment() if "randaugment" in changes else TrivialAugmentWide())._AUGMENTATION_SPACE
    assert tuple(space) == KINDS
    counts = np.bincount(drawn.kind.ravel(), minlength=len(KINDS))
    assert abs(counts / counts.sum() * len(KINDS) - 1).max() < 0.15
    for index, (name, (bins, signed)) in enumerate(space.items()):
        magnitudes = bins(STRONGEST + 1, *SIZE)
        expected = [0.0 if magnitudes is None else float(magnitudes[step]) for step in steps]
        expected = [{"Posterize": 8, "Solarize": 1}.get(name, 2 * value) - value for value in expected]
        amounts = drawn.amount[drawn.kind == index]
        amounts = np.rint(amounts) if name == "Posterize" else amounts  # as it is applied
        assert (amounts.min() < 0) == signed
        np.testing.assert_allclose(
            np.unique(np.abs(amounts).round(5)), np.unique(np.round(expected, 5)), atol=2e-5
        )


def test_randaugment_is_off_at_magnitude_zero(make_config: Make) -> None:
    assert draw_operations(make_config(), 3, np.random.default_rng(0)) is None


def test_an_image_does_not_depend_on_the_images_beside_it(photo: Tensor, make_config: Make) -> None:
    """Whole batches, single images, and images in another order; steps of rounding change single pixels."""
    config = make_config(size=SIZE, randaugment=12, randaugment_ops=4)
    rng = np.random.default_rng(3)
    images = photo[np.arange(12) % 2]
    draws, operations = draw(config, 12, rng), draw_operations(config, 12, rng)
    assert operations is not None
    whole = augment(images, draws, SIZE, operations)
    backwards = np.arange(12)[::-1].copy()
    reversed_ = augment(images[backwards], draws[backwards], SIZE, operations[backwards])[backwards]
    alone = [augment(images[r : r + 1], draws[r : r + 1], SIZE, operations[r : r + 1]) for r in range(12)]
    for other in (reversed_, torch.cat(alone)):
        assert ((other - whole).abs() > 1e-4).float().mean() < 1e-3


def test_maps_compose_in_the_order_of_the_operations() -> None:
    """A move after a quarter turn is another one than before it."""
    turn, move = KINDS.index("Rotate"), KINDS.index("TranslateX")
    first = Operations(np.array([[turn, move], [move, turn]]), np.array([[90.0, 8.0], [8.0, 90.0]]))
    after, before = operation_matrices(first, (32, 32)) @ np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(after[:2], [0, -0.5], atol=1e-9)
    np.testing.assert_allclose(before[:2], [-0.5, 0], atol=1e-9)
