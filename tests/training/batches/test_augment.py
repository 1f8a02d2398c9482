import math
import random
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastai.vision.augment import (
    Brightness,
    Contrast,
    Flip,
    RandomResizedCropGPU,
    Rotate,
    Warp,
    Zoom,
    setup_aug_tfms,
)
from fastai.vision.core import TensorImage
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.datasets import load_sample_image
from torch import Tensor

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.batches.augment import (
    Draws,
    as_floats,
    augment,
    centre,
    draw,
    normalize,
    warp_matrices,
)

N = 8
ROUNDING = 1.01 / 255  # images are resized as bytes
STEPS = st.integers(0, 16).map(lambda step: step / 16)


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """A photograph of a flower, uint8 [1, 3, 400, 600]."""
    pixels = load_sample_image("flower.jpg")[:400, :600]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].contiguous()


@pytest.fixture(scope="module")
def square(photo: Tensor) -> Tensor:
    """The photograph's middle, uint8 [1, 3, 240, 240]."""
    return photo[:, :, 80:320, 180:420].contiguous()


def neutral(n: int) -> Draws:
    """Return choices that change nothing."""
    zeros, ones, middle = np.zeros(n), np.ones(n), np.full(n, 0.5)
    return Draws(
        crop=ones,
        crop_y=middle,
        crop_x=middle,
        dihedral=np.zeros(n, np.int64),
        angle=zeros,
        zoom=ones,
        zoom_y=middle,
        zoom_x=middle,
        warp_y=zeros,
        warp_x=zeros,
        brightness=zeros,
        contrast=ones,
    )


def fastai_warp(images: Tensor, draws: Draws, *, lighting: bool) -> Tensor:
    """Apply fastai's own batch transforms with the same choices, at full size."""

    def given_values(values: np.ndarray) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.from_numpy(values).to(x)

    transforms = [
        Flip(p=1, draw=given_values(draws.dihedral.astype(float))),
        Warp(p=1, draw_x=given_values(draws.warp_x), draw_y=given_values(draws.warp_y)),
        Rotate(p=1, draw=given_values(np.degrees(draws.angle))),
        Zoom(
            p=1,
            draw=given_values(draws.zoom),
            draw_x=given_values(draws.zoom_x),
            draw_y=given_values(draws.zoom_y),
        ),
    ]
    if lighting:
        change = 1 / (1 + np.exp(-draws.brightness))
        transforms.append(Brightness(p=1, draw=given_values(change)))
        transforms.append(Contrast(p=1, draw=given_values(draws.contrast)))
    moved = TensorImage(as_floats(images))
    for transform in setup_aug_tfms(transforms):
        moved = transform(moved, split_idx=0)
    return moved


def fastai_crop(images: Tensor, draws: Draws, size: tuple[int, int]) -> Tensor:
    """Crop whole pixels and resize, as fastai's RandomResizedCropGPU does after the warp."""
    height, width = images.shape[-2:]
    cut = []
    for row, share in enumerate(draws.crop):
        h, w = round(share * height), round(share * width)
        top, left = round(draws.crop_y[row] * (height - h)), round(draws.crop_x[row] * (width - w))
        one = TensorImage(images[row : row + 1, :, top : top + h, left : left + w])
        cut.append(one.affine_coord(sz=size))
    return torch.cat(cut).as_subclass(Tensor)


@pytest.mark.parametrize("size", [(128, 128), (112, 96)], ids=str)
@pytest.mark.parametrize("shape", ["square", "photo"])
def test_one_warp_gives_the_images_of_fastais_chain(
    shape: str,
    size: tuple[int, int],
    make_config: Callable[..., MemberConfig],
    request: pytest.FixtureRequest,
) -> None:
    """Same choices, wide and square images: mean differences below 0.025 at a deviation over 0.15."""
    image = request.getfixturevalue(shape)
    config = make_config(flip="horizontal", max_rotate=15, min_scale=0.5)
    draws = draw(config, N, np.random.default_rng(0))
    images = image.expand(N, -1, -1, -1)
    ours = augment(images, draws, size)
    theirs = fastai_crop(fastai_warp(images, draws, lighting=True), draws, size)
    difference = (ours - theirs).abs().mean((1, 2, 3))
    assert theirs.std() > 0.15
    assert difference.max() < 0.025
    unlike = (ours - theirs.roll(1, 0)).abs().mean((1, 2, 3))
    assert unlike.min() > 4 * difference.max()


def test_neutral_choices_change_only_the_size(square: Tensor) -> None:
    for size in ((240, 240), (128, 96), (60, 60)):
        moved = augment(square, neutral(1), size)
        torch.testing.assert_close(moved, centre(square, size), atol=ROUNDING, rtol=0)


def test_centre_keeps_an_image_of_the_right_size(square: Tensor) -> None:
    assert torch.equal(centre(square, (240, 240)), square / 255)


def test_validation_does_not_warp(square: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An identity warp would sample every pixel needlessly."""
    monkeypatch.setattr(F, "grid_sample", None)
    for size in ((240, 240), (120, 120), (50, 60)):
        assert centre(square, size).shape == (1, 3, *size)


def test_centre_is_close_to_fastais_validation_images(square: Tensor) -> None:
    """It averages areas instead of skipping pixels, and is far closer than without averaging."""
    for size in ((112, 112), (60, 60), (80, 72)):
        fastais = TensorImage(square / 255).affine_coord(sz=size).as_subclass(Tensor)
        skipping = F.interpolate(square / 255, size, mode="bilinear")
        assert (centre(square, size) - fastais).abs().mean() < 0.02
        assert (centre(square, size) - fastais).abs().mean() < 0.8 * (skipping - fastais).abs().mean()


@pytest.mark.parametrize("size", [(40, 56), (20, 20)], ids=str)
def test_images_of_any_size_and_shape_get_the_requested_size(size: tuple[int, int]) -> None:
    for height, width in ((40, 56), (33, 20), (300, 41)):
        images = torch.zeros(2, 3, height, width, dtype=torch.uint8)
        assert centre(images, size).shape == (2, 3, *size)
        assert augment(images, neutral(2), size).shape == (2, 3, *size)


DIHEDRAL = [
    lambda image: image,
    lambda image: image.flip(3),
    lambda image: image.flip(2),
    lambda image: image.flip(2, 3),
    lambda image: image.transpose(2, 3),
    lambda image: image.transpose(2, 3).flip(3),
    lambda image: image.transpose(2, 3).flip(2),
    lambda image: image.transpose(2, 3).flip(2, 3),
]


def test_the_eight_dihedral_cases_are_exactly_flips_and_transpositions(square: Tensor) -> None:
    cases = replace(neutral(8), dihedral=np.arange(8))
    moved = augment(square.expand(8, -1, -1, -1), cases, (240, 240))
    expected = torch.cat([case(square / 255) for case in DIHEDRAL])
    torch.testing.assert_close(moved, expected, atol=1e-4, rtol=0)


def test_a_quarter_turn_keeps_the_proportions_of_a_wide_image(photo: Tensor) -> None:
    """The middle square of a rotated wide image is the rotated middle square."""
    turned = augment(photo, replace(neutral(1), angle=np.array([math.pi / 2])), (400, 600))
    middle = turned[..., 150:250, 250:350]
    expected = (photo / 255)[..., 150:250, 250:350]
    quarter_turns = [torch.rot90(expected, turns, (2, 3)) for turns in (1, 3)]
    assert min((middle - each).abs().mean() for each in quarter_turns) < 1e-3


def test_a_crop_shows_the_drawn_share_of_the_image(square: Tensor) -> None:
    """A quarter of the area from the lower left corner, at its own resolution."""
    choices = replace(neutral(1), crop=np.array([0.5]), crop_y=np.ones(1), crop_x=np.zeros(1))
    moved = augment(square, choices, (120, 120))
    torch.testing.assert_close(moved, (square / 255)[..., 120:, :120], atol=1e-4, rtol=0)


def test_lighting_alone_is_fastais(square: Tensor) -> None:
    choices = replace(neutral(2), brightness=np.array([0.3, -0.2]), contrast=np.array([0.8, 1.2]))
    images = square.expand(2, -1, -1, -1)
    expected = fastai_warp(images, choices, lighting=True).as_subclass(Tensor)
    torch.testing.assert_close(augment(images, choices, (240, 240)), expected, atol=2e-3, rtol=0)


def test_a_batch_is_augmented_as_its_chunks_are(
    square: Tensor, make_config: Callable[..., MemberConfig]
) -> None:
    draws = draw(make_config(flip="dihedral", p_lighting=0.3), N, np.random.default_rng(3))
    images = square.expand(N, -1, -1, -1)
    whole = augment(images, draws, (64, 64))
    chunks = [augment(images[part], draws[part], (64, 64)) for part in (slice(3), slice(3, 4), slice(4, N))]
    torch.testing.assert_close(torch.cat(chunks), whole, atol=1e-6, rtol=0)


def test_every_choice_stays_in_its_range_and_has_its_probability(
    make_config: Callable[..., MemberConfig],
) -> None:
    """20,000 images: shares within 2 percentage points, extremes within 1 % of the bounds."""
    n = 20_000
    config = make_config(
        flip="dihedral",
        min_scale=0.4,
        max_rotate=20,
        max_zoom=1.3,
        max_warp=0.1,
        max_lighting=0.25,
        p_affine=0.6,
        p_lighting=0.3,
    )
    draws = draw(config, n, np.random.default_rng(0))
    brightness, contrast = math.log(1.25 / 0.75), -math.log(0.75)
    expected = {  # name: values, lowest, highest, share of images it is applied to
        "area": (draws.crop**2, 0.4, 1.0, 1.0),
        "crop_y": (draws.crop_y, 0.0, 1.0, 1.0),
        "crop_x": (draws.crop_x, 0.0, 1.0, 1.0),
        "angle": (draws.angle, -math.radians(20), math.radians(20), 0.6),
        "zoom": (draws.zoom - 1, 0.0, 0.3, 0.6),
        "zoom_y": (draws.zoom_y, 0.0, 1.0, 1.0),
        "zoom_x": (draws.zoom_x, 0.0, 1.0, 1.0),
        "warp_y": (draws.warp_y, -0.1, 0.1, 0.6),
        "warp_x": (draws.warp_x, -0.1, 0.1, 0.6),
        "brightness": (draws.brightness, -brightness, brightness, 0.3),
        "contrast": (np.log(draws.contrast), -contrast, contrast, 0.3),
    }
    for name, (values, low, high, share) in expected.items():
        slack = 0.01 * (high - low)
        assert low <= values.min() <= low + slack, name
        assert high - slack <= values.max() <= high, name
        assert np.mean(values != 0) == pytest.approx(share, abs=0.02), name
    np.testing.assert_allclose(np.bincount(draws.dihedral) / n, np.full(8, 1 / 8), atol=0.02)


def fastais_draws(n: int) -> dict[str, np.ndarray]:
    """Draw `n` images' choices by fastai's transforms with default strengths, including neutral values."""
    torch.manual_seed(0)
    random.seed(0)
    images = TensorImage(torch.zeros(n, 3, 1, 1))
    turn, zoom, flip = (
        kind.aff_fs[0](images).numpy()
        for kind in (Rotate(max_deg=10, p=0.75), Zoom(max_zoom=1.1, p=0.75), Flip(p=0.5))
    )
    warp = Warp(magnitude=0.2, p=0.75).coord_fs[0]
    brightness, contrast = (kind(max_lighting=0.2, p=0.75).fs[0] for kind in (Brightness, Contrast))
    for drawn in (warp, brightness, contrast):
        drawn.before_call(images)
    crop, huge = (
        RandomResizedCropGPU(224, min_scale=0.75, ratio=(1, 1)),
        torch.empty(1, 1, 10**4, 10**4, device="meta"),
    )
    sides, tops = [], []
    for _ in range(n):  # one crop per batch
        crop.before_call(huge, 0)
        sides.append(crop.cp_size[0] / 10**4)
        tops.append(crop.tl[0] / max(1, 10**4 - crop.cp_size[0]))
    return {
        "angle": np.arctan2(turn[:, 0, 1], turn[:, 0, 0]),
        "zoom": 1 / zoom[:, 0, 0],
        "dihedral": (flip[:, 0, 0] < 0).astype(int),
        "warp_y": -1 - warp.targ_pts[:, 0, 0].numpy(),
        "warp_x": -1 - warp.targ_pts[:, 0, 1].numpy(),
        "brightness": torch.logit(brightness.change).numpy(),
        "contrast": contrast.change.numpy(),
        "crop": np.array(sides),
        "crop_y": np.array(tops),
    }


def test_choices_are_distributed_as_fastais(make_config: Callable[..., MemberConfig]) -> None:
    """By the Kolmogorov-Smirnov test, and with the same share of unchanged images."""
    n = 5000
    ours = draw(make_config(flip="horizontal"), n, np.random.default_rng(0))
    for name, theirs in fastais_draws(n).items():
        mine = getattr(ours, name)
        neutral = {"zoom": 1.0, "contrast": 1.0}.get(name, 0.0)
        applied = [values[np.abs(values - neutral) > 1e-6] for values in (mine, theirs)]
        assert len(applied[0]) / n == pytest.approx(len(applied[1]) / n, abs=0.03), name
        assert ks_2samp(*applied).pvalue > 0.001, name


@pytest.mark.parametrize(("flip", "cases"), [("none", 1), ("horizontal", 2), ("dihedral", 8)])
def test_flips_are_drawn_uniformly_from_those_allowed(
    flip: str, cases: int, make_config: Callable[..., MemberConfig]
) -> None:
    drawn = draw(make_config(flip=flip), 4000, np.random.default_rng(0)).dihedral
    np.testing.assert_allclose(np.bincount(drawn) / 4000, np.full(cases, 1 / cases), atol=0.03)


def test_all_strengths_at_zero_draw_nothing(make_config: Callable[..., MemberConfig]) -> None:
    """A search space may switch each kind of augmentation off by its strength."""
    config = make_config(min_scale=1, max_rotate=0, max_zoom=1, max_warp=0, max_lighting=0)
    draws = draw(config, 50, np.random.default_rng(0))
    np.testing.assert_allclose(warp_matrices(draws), np.tile(np.eye(3), (50, 1, 1)), atol=1e-7)
    assert not draws.brightness.any()
    assert (draws.contrast == 1).all()


@settings(max_examples=30)
@given(angle=STEPS, zoom=STEPS, crop=STEPS, y=STEPS, x=STEPS)
def test_crop_and_zoom_never_sample_outside_the_image(
    angle: float, zoom: float, crop: float, y: float, x: float
) -> None:
    """Without rotation and warp every sampled position is inside; an angle only rotates it."""
    share = 0.25 + 0.75 * crop
    choices = replace(
        neutral(1),
        crop=np.array([share]),
        crop_y=np.array([y]),
        crop_x=np.array([x]),
        zoom=np.array([1 + zoom]),
        zoom_y=np.array([x]),
        zoom_x=np.array([y]),
    )
    corners = np.array([[-1, -1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, 1]]).T
    moved = (warp_matrices(choices)[0] @ corners)[:2]
    assert np.abs(moved).max() <= 1 + 1e-6
    turned = (warp_matrices(replace(choices, angle=np.array([angle])))[0] @ corners)[:2]
    np.testing.assert_allclose(np.linalg.norm(turned, axis=0), np.linalg.norm(moved, axis=0), atol=1e-5)


def test_indexing_draws_selects_the_rows_of_every_field(make_config: Callable[..., MemberConfig]) -> None:
    draws = draw(make_config(), 10, np.random.default_rng(0))
    some = draws[2:5]
    assert len(some) == 3
    for field in fields(Draws):
        np.testing.assert_array_equal(getattr(some, field.name), getattr(draws, field.name)[2:5])


def test_normalize_gives_zero_mean_and_unit_deviation_by_channel() -> None:
    images = torch.rand(4, 3, 9, 9)
    mean, std = tuple(images.mean((0, 2, 3)).tolist()), tuple(images.std((0, 2, 3)).tolist())
    normed = normalize(images, mean, std)
    torch.testing.assert_close(normed.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.std((0, 2, 3)), torch.ones(3))
