import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.pixels import load_pixels
from tune_paddy.core.errors import InputError
from tune_paddy.data.ensemble_file import read_ensemble
from tune_paddy.data.images import load_rgb, load_thumbnail
from tune_paddy.data.system.files import read_file, read_text
from tune_paddy.data.tables.csv_table import read_csv

TERABYTE = 2**40

READERS: dict[str, Callable[[Path], Any]] = {
    "file": lambda path: read_file(path, most=1, what="a thing"),
    "text": lambda path: read_text(path, most=1, what="a thing"),
    "csv": read_csv,
    "ensemble": read_ensemble,
    "image": load_rgb,
    "pixels": load_pixels,
    "thumbnail": lambda path: load_thumbnail(path, 8),
}
every_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS)


@every_reader
def test_a_pipe_without_a_writer_does_not_block(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: is not a regular file"):
        read(tmp_path / "pipe")


@every_reader
def test_an_endless_device_is_not_read(read: Callable[[Path], Any]) -> None:
    with pytest.raises(InputError, match="/dev/zero: is not a regular file"):
        read(Path("/dev/zero"))


@every_reader
@pytest.mark.parametrize("start", [b"", b"\xff\xd8\xff\xe0"], ids=["nothing", "a JPEG"])
def test_a_terabyte_is_not_read(tmp_path: Path, read: Callable[[Path], Any], start: bytes) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.write(start)
        file.truncate(TERABYTE)  # a sparse file
    with pytest.raises(InputError, match="huge: is larger than"):
        read(path)


def test_an_impossible_name_is_reported_in_one_line() -> None:
    for name in ("a\0b", "a" * 1000):
        with pytest.raises(InputError, match="cannot be read"):
            read_file(Path(name), most=1, what="a thing")


def test_text_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes("ä".encode("latin-1"))
    with pytest.raises(InputError, match="x: is not UTF-8 text, so it cannot be a thing"):
        read_text(tmp_path / "x", most=1, what="a thing")
