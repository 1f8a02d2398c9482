import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from tune_paddy.data.images import ImageError
from tune_paddy.data.resizing import Pixels, place, scaled_size, visible_part
from tune_paddy.training.batches.decoding import load_scaled

METHODS = ("squish", "crop", "pad")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of a flower, 600 wide, 400 high, with some noise."""
    pixels = load_sample_image("flower.jpg")[:400, :600]
    noise = np.random.default_rng(0).normal(0, 8, pixels.shape)
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(path)
    return path


def with_pillow(image: Image.Image, size: tuple[int, int], method: str) -> Pixels:
    part = image.crop(visible_part((image.height, image.width), size, method))
    height, width = scaled_size((part.height, part.width), size, method)
    return np.asarray(part.resize((width, height), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "size", [(480, 480), (224, 224), (96, 130), (17, 401), (400, 600), (900, 800)], ids=str
)
def test_photographs_are_scaled_as_by_pillow_within_two_levels(
    photo: Path, size: tuple[int, int], method: str
) -> None:
    """Coarser coefficients may round differently, once per direction; few values do."""
    mine, pillows = load_scaled(str(photo), size, method), with_pillow(Image.open(photo), size, method)
    assert mine.shape == pillows.shape
    difference = np.abs(mine.astype(int) - pillows)
    assert difference.max() <= 2
    assert difference.mean() < 0.1


@settings(max_examples=80)
@given(
    before=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    size=st.tuples(st.integers(8, 300), st.integers(8, 300)),
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 9),
)
def test_noise_of_any_shape_is_scaled_as_by_pillow_within_two_levels(
    tmp_path: Path, before: tuple[int, int], size: tuple[int, int], method: str, seed: int
) -> None:
    """Black and white at random: the largest errors that rounding can add up to; single columns included."""
    noise = Image.fromarray(np.random.default_rng(seed).integers(0, 2, (*before, 3), np.uint8) * 255)
    noise.save(tmp_path / "noise.bmp")
    mine = load_scaled(str(tmp_path / "noise.bmp"), size, method)
    assert np.abs(mine.astype(int) - with_pillow(noise, size, method)).max() <= 2
    assert mine.flags.c_contiguous
    assert place(mine, size).shape == (3, *size)


def test_the_same_picture_in_another_format_is_scaled_alike(photo: Path, tmp_path: Path) -> None:
    """One filter for all: an image does not change with the way it was decoded."""
    copy = tmp_path / "copy.png"
    Image.open(photo).save(copy)
    for method in METHODS:
        assert np.array_equal(
            load_scaled(str(photo), (96, 96), method), load_scaled(str(copy), (96, 96), method)
        )


def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (50, 40)).save(file, "JPEG")
    path = tmp_path / "cut.jpg"
    path.write_bytes(file.getvalue()[:-9])
    with pytest.raises(ImageError, match=r"cut\.jpg: cannot be decoded"):
        load_scaled(str(path), (24, 24), "squish")
