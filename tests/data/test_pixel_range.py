import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.data.pixels import load_pixels
from tune_paddy.core.errors import InputError
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.images import load_rgb
from tune_paddy.data.pixel_range import find_range, measure_values, scale


def grey(seed, low, high, dtype, side=24):
    """A smooth random image whose values reach from `low` to `high`."""
    values = np.random.default_rng(seed).random((5, 5), np.float32)
    values = np.asarray(Image.fromarray(values).resize((side, side), Image.Resampling.BICUBIC))
    values = (values - values.min()) / np.ptp(values)
    return (low + values.astype(np.float64) * (high - low)).astype(dtype)


def folder_of(root, low, high, dtype, suffix="tif"):
    """Two classes of three images."""
    for number in range(6):
        path = root / "ab"[number % 2] / f"{number}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey(number, low, high, dtype)).save(path)
    return root


@pytest.mark.parametrize(
    ("values", "dtype", "suffix", "expected"),
    [
        ((150, 3860), np.uint16, "png", (0, 4095)),
        ((0, 1000), np.uint16, "png", (0, 1023)),
        ((40, 65000), np.uint16, "png", (0, 65535)),
        ((3, 250), np.uint16, "png", (0, 255)),
        ((7000, 9000), np.uint16, "png", (7000, 9000)),
        ((-1024, 3071), np.int16, "tif", (-1024, 3071)),
        ((-1024, 3071), np.int32, "tif", (-1024, 3071)),
        ((0.1, 0.9), np.float32, "tif", (0, 1)),
        ((-0.9, 0.95), np.float32, "tif", (-1, 1)),
        ((-5, 250), np.float32, "tif", (-5, 250)),
        ((0, 100_000), np.int32, "tif", (0, 100_000)),
    ],
)
def test_the_range_is_a_common_scale_or_the_values_in_use(tmp_path, values, dtype, suffix, expected):
    """Every kind of file keeps its grey levels, and the report says the range."""
    dataset = Dataset.open(folder_of(tmp_path, *values, dtype, suffix))
    assert dataset.pixel_range == pytest.approx(expected, abs=1e-4)
    (note,) = dataset.report.notes
    assert note.startswith("6 images of more than 8 bits: ")
    levels = np.unique(load_pixels(dataset.labelled["path"][0], dataset.pixel_range)).size
    assert levels > 0.8 * min(np.unique(grey(0, *values, dtype)).size, 150)


def test_the_same_pictures_with_other_bit_depths_are_the_same_to_training(tmp_path):
    twelve = folder_of(tmp_path / "12", 100, 4000, np.uint16, "png")
    sixteen = tmp_path / "16"
    for path in twelve.rglob("*.png"):
        copy = sixteen / path.relative_to(twelve)
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(Image.open(path)) * np.uint16(16)).save(copy)
    pixels = []
    for root in (twelve, sixteen):
        dataset = Dataset.open(root)
        pixels.append([load_pixels(path, dataset.pixel_range) for path in dataset.labelled["path"]])
    assert np.abs(np.int16(pixels[0]) - np.int16(pixels[1])).max() <= 1


def test_a_few_defective_pixels_or_one_odd_image_do_not_set_the_range(tmp_path):
    for number in range(20):
        values = grey(number, 100, 4000, np.uint16, side=60)
        values[3, 4] = 65535
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(values * np.uint16(16 if number == 7 else 1)).save(path)
    dataset = Dataset.open(tmp_path)
    assert dataset.pixel_range == (0, 4095)
    assert "values outside are clipped" in dataset.report.notes[0]


def test_images_of_8_bits_have_no_range_and_ignore_one(folders):
    assert Dataset.open(folders).pixel_range is None
    asked = Dataset.open(folders, pixel_range=(0, 100))
    assert asked.pixel_range is None
    path = asked.labelled["path"][0]
    assert load_rgb(path, (0, 100)).tobytes() == load_rgb(path).tobytes()


def test_a_given_range_overrides_the_one_in_use_and_each_scales_every_image_by_itself(tmp_path):
    folder_of(tmp_path, 150, 3860, np.uint16, "png")
    assert Dataset.open(tmp_path, pixel_range=(100, 2000)).pixel_range == (100, 2000)
    old = Dataset.open(tmp_path, pixel_range="each")
    assert old.pixel_range is None
    assert "each image scaled by itself" in old.report.notes[0]
    assert load_pixels(old.labelled["path"][0]).max() <= 3860 // 257 + 1


def test_images_that_differ_in_the_lowest_bits_only_are_not_equal(tmp_path):
    """Both labels are kept: after rounding to 8 bits the two would be the same image."""
    folder_of(tmp_path, 0, 60000, np.uint16, "png")
    values = grey(50, 0, 60000, np.uint16)
    Image.fromarray(values).save(tmp_path / "a" / "one.png")
    Image.fromarray(values + np.uint16(1)).save(tmp_path / "b" / "other.png")
    assert len(Dataset.open(tmp_path).report.mixed) == 1
    Image.fromarray(values).save(tmp_path / "b" / "other.tif")
    with pytest.raises(InputError, match="1 image with several labels"):
        Dataset.open(tmp_path)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40))
def test_any_values_have_a_range_that_scales_them_in_order(values):
    image = Image.fromarray(np.array([values], np.float32))
    pixel_range = find_range([measure_values(image, 2)])
    assert pixel_range is not None
    assert pixel_range[0] < pixel_range[1]
    scaled = scale(np.sort(np.array(values, np.float64)), pixel_range)
    assert (np.diff(scaled.astype(int)) >= 0).all()


@pytest.mark.parametrize("fill", [-9999, -3.4e38, 1e6])
def test_a_value_that_stands_for_missing_data_does_not_stretch_the_range(tmp_path, fill):
    for number in range(6):
        values = grey(number, 0.1, 0.9, np.float32)
        values[:6] = fill
        path = tmp_path / "ab"[number % 2] / f"{number}.tif"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(values).save(path)
    dataset = Dataset.open(tmp_path)
    assert dataset.pixel_range == (0, 1)
    assert f"(without {fill:g}, far outside)" in dataset.report.notes[0]
    pixels = load_pixels(dataset.labelled["path"][0], dataset.pixel_range)
    assert (pixels[:6] == (0 if fill < 0 else 255)).all()


def test_a_background_of_0_is_no_missing_data():
    values = np.array([[0, 0, 3000, 3500]], np.float32)
    assert find_range([measure_values(Image.fromarray(values), 2)]) == (0, 3500)


def test_nan_does_not_stretch_the_range():
    values = np.array([[np.nan, 280, 300]], np.float32)
    assert find_range([measure_values(Image.fromarray(values), 2)]) == (280, 300)


def test_images_without_a_finite_value_are_black(tmp_path):
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "x.tif")
    assert load_pixels(tmp_path / "x.tif", (0.0, 1.0)).max() == 0
