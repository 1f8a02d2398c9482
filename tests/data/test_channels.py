"""Files with more channels, depth or pages than are used: refused, or reported."""

import io

import numpy as np
import pytest
from PIL import Image, features

from tests.data.pixels import load_pixels
from tests.data.tiffs import GREY, INKS, RGB, tiff
from tune_paddy.core.errors import InputError
from tune_paddy.data.channels import Unused, read_head, unused_parts
from tune_paddy.data.dataset import Dataset
from tune_paddy.data.images import ImageError, count_deep, count_pixels, find_unused, load_rgb, load_thumbnail


def noise(channels, dtype, side=16, seed=0):
    values = np.random.default_rng(seed).random((side, side, channels))
    return (
        (values * np.iinfo(dtype).max).astype(dtype) if np.dtype(dtype).kind == "u" else values.astype(dtype)
    )


def picture(dtype=np.uint8, channels=3, seed=0):
    pixels = noise(channels, dtype, seed=seed)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def encode(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def written(tmp_path, content, name="image.tif"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


MANY = {
    "five interleaved": (tiff(noise(5, np.uint8), RGB, extra=(0, 0)), "has 5 channels of 8 bits"),
    "five of grey": (tiff(noise(5, np.uint8), GREY, extra=(0,) * 4), "has 5 channels of 8 bits"),
    "five inks": (tiff(noise(5, np.uint8), INKS, extra=(0,)), "has 5 channels of 8 bits"),
    "five with transparency": (tiff(noise(5, np.uint8), RGB, extra=(2, 0)), "has 5 channels of 8 bits"),
    "twelve": (tiff(noise(12, np.uint16), GREY, extra=(0,) * 11), "has 12 channels of 16 bits"),
    "four of grey": (tiff(noise(4, np.uint16), GREY, extra=(0,) * 3), "has 4 channels of 16 bits"),
    "floats": (tiff(noise(3, np.float32), RGB), "has 3 channels of 32 bits"),
    "separate bands": (
        tiff(noise(4, np.uint16), GREY, extra=(0,) * 3, separate=True),
        "has 4 channels of 16 bits",
    ),
    "separate colours": (tiff(noise(3, np.uint16), RGB, separate=True), "has 3 channels of 16 bits, one"),
    "long floats": (tiff(noise(1, np.float64), GREY), "has 1 channel of 64 bits"),
}


@pytest.mark.parametrize("kind", MANY)
def test_channels_that_cannot_be_used_are_refused_with_their_number_and_the_remedy(tmp_path, kind):
    """Pillow drops some of them, and reads separate colours of 16 bits as other pixels."""
    content, reason = MANY[kind]
    path = written(tmp_path, content)
    for load in (load_rgb, load_pixels, count_pixels, lambda path: load_thumbnail(path, 8)):
        with pytest.raises(ImageError, match=rf"image\.tif: .*{reason}.*(save|interleave)") as refusal:
            load(path)
        assert "\n" not in str(refusal.value)


def test_a_dataset_with_such_a_file_is_refused_with_its_name(tmp_path):
    for number in range(4):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        picture(seed=number).save(folder / f"{number}.tif")
    (tmp_path / "a" / "bands.tif").write_bytes(MANY["twelve"][0])
    with pytest.raises(InputError, match=r"(?s)1 image cannot.*bands\.tif: has 12 channels of 16 bits"):
        Dataset.open(tmp_path)


def test_separate_colours_of_8_bits_are_read(tmp_path):
    pixels = noise(3, np.uint8)
    path = written(tmp_path, tiff(pixels, RGB, separate=True))
    assert np.array_equal(load_pixels(path), pixels)


def test_unsigned_integers_of_32_bits_keep_their_order(tmp_path):
    values = np.array([[[0], [2**31 - 1], [2**31], [2**32 - 1]]], np.uint32)
    path = written(tmp_path, tiff(values, GREY))
    assert load_pixels(path, (0.0, 2.0**32 - 1))[0, :, 0].tolist() == [0, 127, 128, 255]


UNUSED = {
    "rgb16.tif": (tiff(noise(3, np.uint16), RGB), Unused(depth=True)),
    "rgba16.tif": (tiff(noise(4, np.uint16), RGB, extra=(2,)), Unused(depth=True)),
    "inks16.tif": (tiff(noise(4, np.uint16), INKS), Unused(depth=True)),
    "infrared.tif": (tiff(noise(4, np.uint8), RGB, extra=(0,)), Unused(channels=1)),
    "infrared16.tif": (tiff(noise(4, np.uint16, seed=3), RGB, extra=(0,)), Unused(depth=True, channels=1)),
    "deep.ppm": (b"P6 16 16 1023\n" + noise(3, ">u2").tobytes(), Unused(depth=True)),
    "pages.tif": (
        encode(picture(seed=2), "TIFF", save_all=True, append_images=[picture(seed=1)]),
        Unused(pages=True),
    ),
    "grey-pages.tif": (
        encode(picture(np.uint16, 1), "TIFF", save_all=True, append_images=[picture(np.uint16, 1)]),
        Unused(pages=True),
    ),
    "moving.gif": (
        encode(picture(), "GIF", save_all=True, append_images=[picture(seed=1)]),
        Unused(pages=True),
    ),
    "rgb.tif": (tiff(noise(3, np.uint8), RGB), Unused()),
    "rgba.tif": (tiff(noise(4, np.uint8), RGB, extra=(2,)), Unused()),
    "inks.tif": (tiff(noise(4, np.uint8), INKS), Unused()),
    "grey16.tif": (tiff(noise(1, np.uint16), GREY), Unused()),
    "grey16.png": (encode(picture(np.uint16, 1), "PNG"), Unused()),
    "grey16.jp2": (encode(picture(np.uint16, 1), "JPEG2000"), Unused()),
    "float.tif": (tiff(noise(1, np.float32), GREY), Unused()),
    "la.png": (encode(picture().convert("LA"), "PNG"), Unused()),
    "palette.png": (encode(picture().convert("P"), "PNG", transparency=3), Unused()),
    "deep.pgm": (b"P5 16 16 4095\n" + (noise(1, np.uint16) >> 4).astype(">u2").tobytes(), Unused()),
    "colours.jp2": (encode(picture(), "JPEG2000"), Unused()),
    "photo.mpo": (
        encode(picture(), "MPO", save_all=True, append_images=[picture(seed=1)]),
        Unused(),
    ),
}
"""Files that are read, and what of them is not used: greys of any depth are scaled by a range instead."""


@pytest.mark.parametrize("name", UNUSED)
def test_what_is_not_used_of_a_file_is_known_from_its_header(tmp_path, name):
    content, unused = UNUSED[name]
    path = written(tmp_path, content, name)
    assert load_rgb(path).size == (16, 16)
    assert find_unused(path) == unused


def test_a_deep_jpeg_2000_is_known_from_its_header(tmp_path):
    """Pillow does not write it: the header of one of 8 bits gets another depth."""
    deep = bytearray(encode(picture(), "JPEG2000", irreversible=False))
    start = deep.index(b"\xff\x4f\xff\x51") + 42
    deep[start : start + 9 : 3] = b"\x0f" * 3
    path = written(tmp_path, deep, "deep.jp2")
    assert load_rgb(path).size == (16, 16)
    assert find_unused(path) == Unused(depth=True)


@pytest.mark.skipif(not features.check("avif"), reason="this build of Pillow reads no AVIF")
def test_a_deep_avif_is_known_from_its_header(tmp_path):
    """Pillow does not write it, and its decoder refuses a header that differs from the picture."""
    path = written(tmp_path, encode(picture(), "AVIF"), "shallow.avif")
    assert find_unused(path) == Unused()
    head = bytearray(read_head(path))
    head[head.index(b"av1C") + 6] |= 0x40
    with Image.open(path) as image:
        assert unused_parts(image, bytes(head)) == Unused(depth=True)


def test_the_check_of_a_dataset_says_what_is_not_used(tmp_path):
    """Each kind has one line with the number of images."""
    names = ("infrared16.tif", "inks16.tif", "pages.tif", "rgb.tif")
    for number, name in enumerate(names):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(UNUSED[name][0])
    notes = Dataset.open(tmp_path, copies="off").report.notes
    assert [note.partition(":")[0] for note in notes] == [
        "2 colour images of more than 8 bits a channel",
        "1 image with a channel beside colours and transparency",
        "1 image with several pages or frames",
    ]


def test_images_of_more_than_8_bits_are_counted_whatever_their_names(tmp_path):
    for name in ("grey16.tif", "float.tif", "rgb.tif", "rgb16.tif"):
        (tmp_path / name.replace(".", "-")).write_bytes(UNUSED[name][0])
    assert count_deep([*sorted(tmp_path.iterdir()), tmp_path / "gone"]) == 2
