"""Malicious files, read by a process with a low memory limit that a memory error would end."""

import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from PIL import Image

READ = """
import json, resource, sys
from pathlib import Path
from tests.data.pixels import load_pixels
from tune_paddy.core.errors import InputError
from tune_paddy.data.tables.csv_table import read_csv
from tune_paddy.data.images import load_rgb, load_thumbnail
from tune_paddy.spaces.space import SearchSpace
from tune_paddy.tracking.predictions_file import read_predictions

limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
readers = {
    ".img": (load_rgb, load_pixels, lambda path: load_thumbnail(path, 32)),
    ".csv": (read_csv,), ".npz": (read_predictions,), ".yaml": (SearchSpace.load,),
}
said = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    said[path.name] = []
    for read in readers[path.suffix]:
        try:
            read(path)
        except InputError as error:
            said[path.name].append(str(error))
        else:
            said[path.name].append("fine")
print(json.dumps(said))
"""
ALLOWED = 1200 * 2**20
"""Bytes in addition to the imports: the largest allowed image, 89 million pixels, takes 268 MB as RGB."""


def png(width: int, height: int, *chunks: bytes, data: bytes = b"") -> bytes:
    """A PNG file with an arbitrary header."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [b"IHDR" + header, *chunks, b"IDAT" + zlib.compress(data), b"IEND"]
    signed = (struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(signed)


def animation() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), (number, 0, 0)) for number in range(200)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def tiff_that_points_to_itself() -> bytes:
    """A directory that points to itself as next directory and as EXIF directory."""
    entries = [(256, 4, 1, 8), (257, 4, 1, 8), (34665, 4, 1, 8), (273, 4, 1, 0)]
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", 8) + bytes(200)


def jpeg_with_exif_that_points_to_itself() -> bytes:
    file = io.BytesIO()
    exif = b"Exif\0\0" + tiff_that_points_to_itself()
    Image.new("RGB", (16, 16)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def bomb(name: str = "select_plain.npy") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(2**24))
    return file.getvalue()


def npy_of(shape: tuple[int, ...], descr: str) -> bytes:
    header, file = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    names = ("format", "classes", "split", "select_ids", "select_labels", "test_ids", "select_a", "test_a")
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(f"{name}.npy", header.getvalue())
    return file.getvalue()


@cache
def zeros() -> bytes:
    """64 MiB of zeros, compressed."""
    return zlib.compress(bytes(2**26))


FILES: dict[str, Callable[[], bytes]] = {
    "claims-20000x20000.img": lambda: png(20_000, 20_000),
    "is-20000x20000-grey.img": lambda: encoded(Image.new("1", (20_000, 20_000))),
    "claims-4-billion-pixels.img": lambda: png(2**16, 2**16),
    "claims-89-million-pixels.img": lambda: png(9_000, 9_900),
    "text-bomb.img": lambda: png(4, 4, b"zTXtComment\0\0" + zeros(), data=bytes(13 * 4)),
    "profile-bomb.img": lambda: png(4, 4, b"iCCPicc\0\0" + zeros(), data=bytes(13 * 4)),
    "1x1.img": lambda: encoded(Image.new("RGB", (1, 1))),
    "1x500000.img": lambda: encoded(Image.new("RGB", (1, 500_000))),
    "animated.img": animation,
    "tiff-loop.img": tiff_that_points_to_itself,
    "exif-loop.img": jpeg_with_exif_that_points_to_itself,
    "zip-and-gif.img": lambda: animation() + bomb(),
    "commas.csv": lambda: b"image_id,label\n" + b"," * 10**7,
    "rows.csv": lambda: b"image_id,label\n" + b"a,b\n" * 10**5,
    "columns.csv": lambda: b"image_id,label," + b",".join(b"%d" % n for n in range(60_000)) + b"\na,b\n",
    "quotes.csv": lambda: b'image_id,label\n"' + b"\n" * 10**6,
    "bomb.npz": bomb,
    "entries.npz": lambda: b"".join(bomb(f"{'x' * 50}{number}") for number in range(5)),
    "terabyte.npz": lambda: npy_of((2**38,), "<f4"),
    "empty-strings.npz": lambda: npy_of((2**40,), "<U0"),
    "huge-string.npz": lambda: npy_of((1,), "<U500000000"),
    "laughs.yaml": lambda: b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "deep.yaml": lambda: b"[" * 10**6,
    "wide.yaml": lambda: b"recipes: [" + b"{}," * 3 * 10**5 + b"]",
    "merge.yaml": lambda: b"a: &a {x: 1}\n" + b"".join(b"b%d: {<<: *a}\n" % n for n in range(1000)),
}
FINE = {
    "1x1.img",
    "1x500000.img",
    "animated.img",
    "exif-loop.img",
    "rows.csv",
    "tiff-loop.img",
    "zip-and-gif.img",
}


def encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return the result of each reader for each file."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, make in FILES.items():
        (folder / name).write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder), str(ALLOWED)],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, list[str]] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("name", FILES)
def test_a_malicious_file_gives_one_line_or_an_image_within_bounded_memory(
    said: dict[str, list[str]], name: str
) -> None:
    for words in said[name]:
        assert "memory" not in words
        assert "\n" not in words
        assert (words == "fine") == (name in FINE), words
