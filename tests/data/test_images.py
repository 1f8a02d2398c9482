import io
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from tests.data.pixels import load_pixels
from tune_paddy.data import images
from tune_paddy.data.images import (
    FORMATS,
    ImageError,
    count_pixels,
    load_rgb,
    load_thumbnail,
    use_pixels,
)
from tune_paddy.data.system.memory import MemoryRation

GREEN = (20, 200, 40)


def encode(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def decode(tmp_path, content, name="image"):
    path = tmp_path / name
    path.write_bytes(content)
    return load_rgb(path)


def middle(image):
    return image.getpixel((image.width // 2, image.height // 2))


def plain(mode="RGB", colour=GREEN, size=(8, 6)):
    return Image.new(mode, size, colour)


# --- modes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "form", "expected"),
    [
        (plain(), "PNG", GREEN),
        (plain("CMYK", (255, 0, 255, 0)), "JPEG", (0, 255, 0)),
        (plain("CMYK", (255, 0, 255, 0)), "TIFF", (0, 255, 0)),
        (plain("L", 90), "PNG", (90, 90, 90)),
        (plain("L", 90), "JPEG", (90, 90, 90)),
        (plain("1", 1), "PNG", (255, 255, 255)),
        (plain().quantize(2), "GIF", GREEN),
        (plain("RGBA", (*GREEN, 255)), "PNG", GREEN),
        (plain("LA", (90, 255)), "PNG", (90, 90, 90)),
        (plain("I;16", 90 * 257), "PNG", (90, 90, 90)),
        (plain("I;16", 90 * 257), "TIFF", (90, 90, 90)),
        (plain("I;16B", 90 * 257), "TIFF", (90, 90, 90)),
        (plain("I", 90 * 257), "TIFF", (90, 90, 90)),
        (plain("F", 90 / 255), "TIFF", (90, 90, 90)),
        (plain("F", 90.0), "TIFF", (90, 90, 90)),
        (plain("F", 90 * 257.0), "TIFF", (90, 90, 90)),
        (plain("YCbCr", (128, 128, 128)), "JPEG", (128, 128, 128)),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_every_mode_loads_as_rgb_with_the_same_colour(tmp_path, image, form, expected):
    loaded = decode(tmp_path, encode(image, form))
    assert (loaded.mode, loaded.size) == ("RGB", (8, 6))
    np.testing.assert_allclose(middle(loaded), expected, atol=4)


def test_a_palette_with_a_transparent_colour_shows_white_there(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([*GREEN, 200, 0, 0])
    image.putdata([0, 1])
    loaded = decode(tmp_path, encode(image, "PNG", transparency=1))
    assert [loaded.getpixel((x, 0)) for x in (0, 1)] == [GREEN, (255, 255, 255)]


@pytest.mark.parametrize(
    "image", [plain("RGBA", (*GREEN, 0)), plain("LA", (90, 0))], ids=lambda image: image.mode
)
def test_transparent_parts_become_white_and_not_the_hidden_colour(tmp_path, image):
    assert middle(decode(tmp_path, encode(image, "PNG"))) == (255, 255, 255)


def test_half_transparent_is_half_white(tmp_path):
    np.testing.assert_allclose(
        middle(decode(tmp_path, encode(plain("RGBA", (0, 0, 0, 128)), "PNG"))), 127, atol=1
    )


def test_nan_is_black_and_infinity_is_white(tmp_path):
    values = np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)
    loaded = decode(tmp_path, encode(Image.fromarray(values), "TIFF"))
    assert np.asarray(loaded)[0, :, 0].tolist() == [0, 255, 0, 128]


def test_nan_is_black_whatever_the_range(tmp_path):
    """Masked pixels of a thermal image, for example, neither stretch the range nor become grey in it."""
    values = np.array([[np.nan, 280, 300]], np.float32)
    Image.fromarray(values).save(tmp_path / "kelvin.tif")
    assert load_pixels(tmp_path / "kelvin.tif", (-300.0, 300.0))[0, :, 0].tolist() == [0, 246, 255]


def test_two_16_bit_images_keep_their_order_of_brightness(tmp_path):
    """The scale depends on the type, not on the image."""
    dark, light = (middle(decode(tmp_path, encode(plain("I;16", value), "PNG")))[0] for value in (2570, 5140))
    assert (dark, light) == (10, 20)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_undone(tmp_path, photo, orientation, form):
    upright = photo(1)
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    # Rotated back, as a camera in that position stores it.
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    loaded = decode(tmp_path, encode(stored, form, exif=exif, **options))
    assert loaded.size == upright.size
    assert np.abs(np.asarray(loaded, int) - np.asarray(upright, int)).mean() < 12


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"nonsense"])
def test_damaged_exif_is_ignored(tmp_path, photo, exif):
    assert decode(tmp_path, encode(photo(1), "JPEG", exif=exif)).size == photo(1).size


@pytest.mark.parametrize("kind_and_value", [b"\x03\0\x01\0\0\0\x09\0\0\0", b"\x02\0\x04\0\0\0abc\0"])
def test_an_unknown_or_textual_orientation_is_ignored(tmp_path, photo, kind_and_value):
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01" + kind_and_value + b"\0\0\0\0"
    assert decode(tmp_path, encode(photo(1), "JPEG", exif=exif)).size == photo(1).size


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation_is_used(tmp_path, form):
    options = {"lossless": True} if form == "WEBP" else {}
    content = encode(plain(), form, save_all=True, append_images=[plain(colour=(200, 0, 0))], **options)
    np.testing.assert_allclose(middle(decode(tmp_path, content)), GREEN, atol=4)


# --- invalid files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "PPM", "TIFF"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("load", [load_rgb, lambda path: load_thumbnail(path, 16)], ids=["rgb", "thumbnail"])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, photo, form, share, load):
    content = encode(photo(1), form)
    path = tmp_path / "cut"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ImageError, match=r"cut: ") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_thumbnail_finds_a_jpeg_cut_anywhere(tmp_path, photo, progressive):
    """It decodes at an eighth of the size, but reads the whole file."""
    content = encode(photo(1).resize((160, 120)), "JPEG", quality=90, progressive=progressive)
    path = tmp_path / "cut.jpg"
    for length in [*range(0, len(content), len(content) // 25), *range(len(content) - 5, len(content))]:
        path.write_bytes(content[:length])
        with pytest.raises(ImageError):
            load_thumbnail(path, 16)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"not an image at all", "is not an image of a known format"),
        (b"\0" * 99, "known format"),
    ],
)
def test_a_file_that_is_not_an_image_is_refused(tmp_path, content, reason):
    with pytest.raises(ImageError, match=reason):
        decode(tmp_path, content, "x.jpg")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.jpg: there is no such file"):
        load_rgb(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match="cannot be read: Is a directory"):
        load_rgb(tmp_path)


def bomb(width, height):
    """A PNG of a few kilobytes that claims to hold width × height grey pixels."""

    def chunk(kind, body):
        return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + b"\x08\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6)))


@pytest.mark.parametrize("size", [(20_000, 20_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.parametrize("load", [load_rgb, lambda path: load_thumbnail(path, 16)], ids=["rgb", "thumbnail"])
def test_a_decompression_bomb_is_refused(tmp_path, size, load):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(*size))
    with pytest.raises(ImageError, match=r"bomb\.png: has more than 89 million pixels"):
        load(path)


def test_formats_that_run_programs_are_not_opened(tmp_path):
    """Pillow hands EPS to Ghostscript."""
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(ImageError, match="known format"):
        decode(tmp_path, content, "x.eps")


def test_the_content_and_not_the_name_determines_the_format(tmp_path, photo):
    assert decode(tmp_path, encode(photo(1), "PNG"), "x.jpg").size == photo(1).size


def test_an_archive_appended_to_an_image_is_ignored(tmp_path, photo):
    content = encode(photo(1), "PNG")
    assert decode(tmp_path, content + b"PK\x03\x04 and so on").tobytes() == photo(1).tobytes()


@pytest.mark.parametrize("name", ["-rf", "with space.png", "ünïcödé 稻.png", "two\nlines.png", " .png"])
def test_any_file_name_works_and_is_shown_on_one_line(tmp_path, photo, name):
    assert decode(tmp_path, encode(photo(1), "PNG"), name).size == photo(1).size
    with pytest.raises(ImageError) as caught:
        decode(tmp_path, b"", name)
    assert "\n" not in str(caught.value)


def noise(width, height):
    """The same grey noise in every process."""
    values = np.random.default_rng(0).normal(128, 60, (height, width)).clip(0, 255)
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


SEEDS = {form: encode(noise(24, 16), form) for form in FORMATS if form != "AVIF" or features.check("avif")}


def is_image_or_one_line(path):
    try:
        return load_rgb(path).mode == "RGB"
    except ImageError as error:
        return error.path == str(path) and "\n" not in str(error)


@settings(max_examples=150)
@given(
    form=st.sampled_from(sorted(SEEDS)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    cut=st.floats(0, 1),
)
def test_damaged_bytes_give_an_image_or_one_line(tmp_path, form, changes, cut):
    content = bytearray(SEEDS[form])
    for place, value in changes:
        content[int(place * len(content))] = value
    path = tmp_path / "fuzz"
    path.write_bytes(content[: max(1, int(cut * len(content)))] if cut < 0.5 else content)
    assert is_image_or_one_line(path)


@settings(max_examples=60)
@given(
    content=st.binary(max_size=200), magic=st.sampled_from([b"", b"\xff\xd8\xff", b"GIF89a", b"BM", b"II*\0"])
)
def test_arbitrary_bytes_give_an_image_or_one_line(tmp_path, content, magic):
    path = tmp_path / "fuzz"
    path.write_bytes(magic + content)
    assert is_image_or_one_line(path)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_thumbnail_is_the_squished_picture(tmp_path, photo, form):
    path = tmp_path / "x"
    path.write_bytes(encode(photo(3).resize((640, 480)), form))
    thumbnail, squished = load_thumbnail(path, 32), load_rgb(path).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(thumbnail, int) - np.asarray(squished, int)).mean() < 2


def test_the_image_outlives_its_file(tmp_path: Path, photo):
    path = tmp_path / "x.png"
    photo(1).save(path)
    loaded = load_rgb(path)
    path.unlink()
    assert loaded.resize((4, 4)).size == (4, 4)


# --- pixels: the faster decoder -------------------------------------------------------------------------


@pytest.fixture
def never_pillow(monkeypatch):
    """The fallback would hide that the faster decoder was not used."""
    monkeypatch.delattr(images, "load_rgb")


def noisy(photo, size):
    pixels = np.asarray(photo(1).resize(size), int)
    noise = np.random.default_rng(0).normal(0, 20, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.usefixtures("never_pillow")
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 95, "subsampling": "4:4:4"},
        {"quality": 75, "subsampling": "4:2:0"},
        {"quality": 50, "subsampling": "4:2:2", "progressive": True},
        {"quality": 90, "restart_marker_rows": 1, "optimize": True},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
@pytest.mark.parametrize("size", [(320, 240), (111, 67), (1, 1)])
def test_ordinary_jpegs_have_the_same_pixels_as_with_pillow(tmp_path, photo, options, size):
    path = tmp_path / "x.jpg"
    path.write_bytes(encode(noisy(photo, size), "JPEG", **options))
    assert np.array_equal(load_pixels(path), np.asarray(load_rgb(path)))


OTHERS = {
    "grey": lambda photo: encode(photo.convert("L"), "JPEG"),
    "cmyk": lambda photo: encode(photo.convert("CMYK"), "JPEG"),
    "png": lambda photo: encode(photo.convert("RGBA"), "PNG"),
    "several": lambda photo: encode(photo, "MPO", save_all=True, append_images=[plain()]),
    "turned": lambda photo: encode(photo, "JPEG", exif=orientation(6)),
    "mirrored": lambda photo: encode(photo, "JPEG", exif=orientation(2)),
}


def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@pytest.mark.parametrize("kind", OTHERS)
def test_everything_else_is_decoded_by_pillow(tmp_path, photo, kind, monkeypatch):
    path = tmp_path / "x.jpg"
    path.write_bytes(OTHERS[kind](photo(1)))
    monkeypatch.delattr(images, "simplejpeg")
    assert np.array_equal(load_pixels(path), np.asarray(load_rgb(path)))


def outcome(load, path):
    """Return the pixels, or the message of the error."""
    try:
        return np.asarray(load(path)).tolist()
    except ImageError as error:
        return str(error)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_refused_with_the_same_message(tmp_path, photo, progressive):
    content = encode(noisy(photo, (120, 90)), "JPEG", progressive=progressive)
    path = tmp_path / "cut.jpg"
    for length in [*range(0, len(content), len(content) // 25), *range(len(content) - 5, len(content))]:
        path.write_bytes(content[:length])
        assert isinstance(outcome(load_pixels, path), str)
        assert outcome(load_pixels, path) == outcome(load_rgb, path)


JPEGS = [encode(noise(40, 24), "JPEG", progressive=progressive) for progressive in (False, True)]


@settings(max_examples=200)
@given(
    content=st.sampled_from(JPEGS),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4
    ),
)
def test_damaged_jpegs_have_the_same_result_as_with_pillow(tmp_path, content, changes):
    damaged = bytearray(content)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    path = tmp_path / "damaged.jpg"
    path.write_bytes(damaged)
    assert outcome(load_pixels, path) == outcome(load_rgb, path)


def test_a_jpeg_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, photo, monkeypatch):
    path = tmp_path / "bomb.jpg"
    path.write_bytes(encode(photo(1), "JPEG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.delattr(images, "simplejpeg")
    with pytest.raises(ImageError, match=r"bomb\.jpg: has more than"):
        load_pixels(path)


def test_threads_decode_large_images_one_after_another(tmp_path, photo, monkeypatch):
    """The first image is held while the second thread starts, and ends first."""
    monkeypatch.setattr(images, "_RATION", MemoryRation(lambda: 1))
    photo(1).save(tmp_path / "a.png")
    photo(1).save(tmp_path / "b.jpg")
    events = []
    second = threading.Thread(
        target=use_pixels, args=(tmp_path / "b.jpg", lambda _: events.append("second")), daemon=True
    )

    def hold(_):
        second.start()
        second.join(0.2)
        events.append("first")

    use_pixels(tmp_path / "a.png", hold)
    second.join(60)
    assert events == ["first", "second"]


def test_an_error_gives_the_memory_back(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_RATION", MemoryRation(lambda: 1))
    (tmp_path / "cut.png").write_bytes(encode(Image.new("RGB", (64, 64), "red"), "PNG")[:-30])
    for _ in range(2):
        with pytest.raises(ImageError):
            load_pixels(tmp_path / "cut.png")


def test_pixels_are_counted_without_decoding(tmp_path):
    (tmp_path / "cut.png").write_bytes(encode(Image.new("RGB", (64, 32), "red"), "PNG")[:60])
    assert count_pixels(tmp_path / "cut.png") == 64 * 32
    with pytest.raises(ImageError, match="there is no such file"):
        count_pixels(tmp_path / "gone.png")
