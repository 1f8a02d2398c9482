import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tune_paddy.data.resizing import LONGEST, place, scaled_size, visible_part

GREEN = (20, 200, 40)


def scale(image, size, method):
    """Apply the first step with Pillow's filter."""
    part = image.crop(visible_part((image.height, image.width), size, method))
    height, width = scaled_size((part.height, part.width), size, method)
    return np.asarray(part.resize((width, height), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def resize(image, size, method, offset=(0.5, 0.5)):
    return place(scale(image, size, method), size, offset)


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(8, 60), st.integers(8, 60)),
    st.sampled_from(["squish", "crop", "pad"]),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_the_result_has_exactly_the_size(before, size, method, offset):
    resized = resize(Image.new("RGB", before, GREEN), size, method, offset)
    assert resized.shape == (3, *size)
    assert (resized == np.array(GREEN)[:, None, None]).all(), "only pixels of the image fill it"


@pytest.mark.parametrize("before", [(1, 1), (4000, 1), (3, 20_000)])
@pytest.mark.parametrize("method", ["squish", "crop", "pad"])
def test_extreme_shapes_need_no_extreme_memory(before, method):
    scaled = scale(Image.new("RGB", before, GREEN), (320, 224), method)
    assert scaled.size <= LONGEST * 3 * 320 * 224
    assert place(scaled, (320, 224)).shape == (3, 320, 224)


def columns(width, height=10):
    """An image whose red encodes the column and whose green encodes the row."""
    grid = np.zeros((height, width, 3), np.uint8)
    grid[..., 0] = np.arange(width)
    grid[..., 1] = np.arange(height)[:, None]
    return Image.fromarray(grid)


@pytest.mark.parametrize(("offset", "first"), [(0.0, 0), (0.5, 10), (1.0, 20)])
def test_the_offset_determines_the_place_of_a_crop(offset, first):
    cropped = resize(columns(30), (10, 10), "crop", (0.5, offset))
    assert cropped[0, 0].tolist() == list(range(first, first + 10))


@pytest.mark.parametrize(("offset", "first"), [(0.0, 80), (0.5, 95), (1.0, 110)])
def test_a_very_long_image_is_cut_to_its_middle(offset, first):
    cropped = resize(columns(200), (10, 10), "crop", (0.5, offset))
    assert cropped[0, 0].tolist() == list(range(first, first + 10))


@pytest.mark.parametrize(("offset", "rows"), [(0.0, [0, 1, 2, 3, 2, 1, 0]), (1.0, [3, 2, 1, 0, 1, 2, 3])])
def test_padding_reflects_the_image_on_the_side_given_by_the_offset(offset, rows):
    padded = resize(columns(7, 4), (7, 7), "pad", (offset, 0.5))
    assert padded[1, :, 0].tolist() == rows


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="unknown resize method 'stretch': use squish, crop or pad"):
        resize(columns(9), (8, 8), "stretch")


def fastai_resize(image, size, method, *, seed=None):
    """Resize with fastai, at the centre, or with the random numbers of a seed."""
    from fastai.vision.augment import Resize  # noqa: PLC0415 seconds to import
    from fastai.vision.core import PILImage  # noqa: PLC0415

    random.seed(seed)
    image = PILImage.create(np.asarray(image))
    return np.asarray(Resize(size, method=method)(image, split_idx=int(seed is None))).transpose(2, 0, 1)


def drawn_offset(seed):
    drawn = random.Random(seed)  # noqa: S311 what fastai draws from
    across, down = drawn.random(), drawn.random()
    return down, across


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_squishing_is_bit_identical_to_fastai(photo):
    rng = np.random.default_rng(0)
    for seed in range(40):
        before, size = rng.integers(9, 160, 2), tuple(rng.integers(9, 90, 2).tolist())
        image = photo(seed, tuple(before.tolist()))
        assert np.array_equal(resize(image, size, "squish"), fastai_resize(image, size, "squish"))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["crop", "pad"])
@pytest.mark.parametrize("training", [False, True])
def test_without_scaling_crops_and_paddings_are_bit_identical_to_fastai(photo, method, training):
    """One side already has its size, so both move whole pixels only."""
    rng = np.random.default_rng(0)
    for seed in range(20):
        height, width = rng.integers(20, 90, 2).tolist()
        image = photo(seed, (width, height))
        other = int(rng.integers(width // 3, width) if method == "crop" else rng.integers(width, 2 * width))
        size, offset = (height, other), drawn_offset(seed) if training else (0.5, 0.5)
        theirs = fastai_resize(image, size, method, seed=seed if training else None)
        assert np.array_equal(resize(image, size, method, offset), theirs), (seed, size)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["crop", "pad"])
@pytest.mark.parametrize("training", [False, True])
def test_with_scaling_crops_and_paddings_are_within_a_pixel_of_fastais(method, training):
    """The image is a slope of 2 levels per pixel, and the scale factor is below two."""
    slope = np.add.outer(np.arange(70), np.arange(50))[..., None].repeat(3, 2).astype(np.uint8) * 2
    for seed in range(20):
        size = (40, 40) if seed % 2 else (36, 45)
        offset = drawn_offset(seed) if training else (0.5, 0.5)
        image = Image.fromarray(slope)
        theirs = fastai_resize(image, size, method, seed=seed if training else None)
        difference = np.abs(resize(image, size, method, offset).astype(int) - theirs)
        assert difference.mean() < 2 * 70 / 40, (seed, size)
