import io

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits, load_sample_images

from tune_paddy.data.duplicates import SIDE, group_copies


@pytest.fixture(scope="module")
def photographs():
    """Disjoint parts of two photographs, those with enough content."""
    parts = [
        Image.fromarray(whole[top : top + 120, left : left + 160])
        for whole in load_sample_images().images
        for left in range(0, 640, 160)
        for top in (0, 120, 240)
    ]
    return [part for part in parts if np.std(part.convert("L")) > 18]


def facts(images):
    small = [image.resize((SIDE, SIDE), Image.Resampling.BILINEAR) for image in images]
    bits = [np.packbits(imagehash.phash(image).hash).tobytes() for image in small]
    hashes = np.array([int.from_bytes(word) for word in bits], np.uint64)
    return hashes, np.stack([np.asarray(image.convert("RGB")) for image in small])


def compressed(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def scaled(image, factor):
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


CHANGES = {
    "the same": lambda image: image,
    "JPEG 75": lambda image: compressed(image, 75),
    "JPEG 40": lambda image: compressed(image, 40),
    "half the size": lambda image: scaled(image, 0.5),
    "a little smaller": lambda image: scaled(image, 0.93),
    "larger": lambda image: scaled(image, 1.7),
    "squished": lambda image: image.resize((224, 224)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.07),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.15),
    "more colour": lambda image: ImageEnhance.Color(image).enhance(1.15),
    "all of it": lambda image: compressed(scaled(ImageEnhance.Brightness(image).enhance(0.95), 0.8), 60),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_of_a_photograph_is_grouped_with_it_and_with_no_other(photographs, change):
    images = photographs + [CHANGES[change](image) for image in photographs]
    groups = group_copies(*facts(images))
    n = len(photographs)
    assert groups.tolist() == list(range(n)) * 2


def test_small_plain_images_do_not_collapse():
    """No two of the 1,797 digits are equal, and none are grouped."""
    pixels = (load_digits().images * 15.9375).astype(np.uint8)
    images = [Image.fromarray(digit).resize((32, 32), Image.Resampling.BICUBIC) for digit in pixels]
    assert len(np.unique(group_copies(*facts(images)))) == 1797


def test_a_copy_of_a_copy_belongs_to_the_group():
    """After repeated brightening the last no longer matches the first, but neighbours match."""
    ramp = np.add.outer(np.arange(SIDE), 3 * np.arange(SIDE) % 40).astype(np.uint8)
    steps = [np.repeat((ramp + 20 * step)[..., None], 3, axis=2) for step in range(5)]
    hashes = np.zeros(5, np.uint64)
    assert group_copies(hashes, np.stack(steps)).tolist() == [0] * 5
    assert group_copies(hashes[:2], np.stack([steps[0], steps[4]])).tolist() == [0, 1]


def test_images_of_one_colour_match_only_if_it_is_the_same():
    greens = [np.full((SIDE, SIDE, 3), (20, level, 20), np.uint8) for level in (100, 101, 100, 180)]
    assert group_copies(np.zeros(4, np.uint64), np.stack(greens)).tolist() == [0, 1, 0, 2]


def test_the_same_shape_in_another_colour_is_another_image(photographs):
    red = np.asarray(photographs[0].resize((SIDE, SIDE))).copy()
    red[..., 1:] = 60
    blue = red[..., ::-1]
    assert group_copies(np.zeros(2, np.uint64), np.stack([red, blue])).tolist() == [0, 1]


def test_the_same_shape_much_brighter_or_stronger_is_another_image():
    """Brightness alone may distinguish two classes."""
    shape = np.repeat((np.arange(SIDE * SIDE) % 37).reshape(SIDE, SIDE, 1), 3, axis=2).astype(np.uint8)
    images = np.stack([shape, shape + 60, shape * 3])
    assert group_copies(np.zeros(3, np.uint64), images).tolist() == [0, 1, 2]


def test_far_hashes_are_not_compared(photographs):
    thumbnails = facts(photographs[:1] * 2)[1].copy()
    thumbnails[1, 0, 0, 0] ^= 1  # not identical: identical images need no hash
    assert group_copies(np.array([0, 2**9 - 1], np.uint64), thumbnails).tolist() == [0, 1]
    assert group_copies(np.array([0, 2**8 - 1], np.uint64), thumbnails).tolist() == [0, 0]


def test_pairs_are_found_across_blocks(photographs, monkeypatch):
    expected = group_copies(*facts(photographs * 2 + [scaled(image, 0.5) for image in photographs]))
    monkeypatch.setattr("tune_paddy.data.duplicates._BLOCK", 100)
    found = group_copies(*facts(photographs * 2 + [scaled(image, 0.5) for image in photographs]))
    assert found.tolist() == expected.tolist()


def test_one_image_is_one_group(photographs):
    assert group_copies(*facts(photographs[:1])).tolist() == [0]
