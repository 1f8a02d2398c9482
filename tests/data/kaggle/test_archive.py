import shutil
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.kaggle import archive
from tune_paddy.data.kaggle.archive import unpack_zip

NAMES = ["train.csv", "train_images/blast/--help.jpg", "test_images/Blätter\n 1.jpg", "leer/"]


def pack(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries:
            opened.writestr(name, content)
    return path


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return pack(tmp_path / "sound.zip", *((name, name.encode() * (name[-1] != "/")) for name in NAMES))


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_every_file_is_unpacked_under_its_name(sound: Path, tmp_path: Path) -> None:
    folder = unpack_zip(sound, tmp_path / "into" / "here")
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert files == {name: name.encode() for name in NAMES[:3]}
    assert (folder / "leer").is_dir()
    assert left(tmp_path / "into") == {"here"}


def test_an_empty_folder_is_filled_and_any_other_is_refused(sound: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    unpack_zip(sound, folder)
    with pytest.raises(InputError, match="already exists"):
        unpack_zip(sound, folder)
    with pytest.raises(InputError, match="already exists"):
        unpack_zip(sound, sound)


@pytest.mark.parametrize(
    "name",
    ["../out", "a/../../out", "/out", "//out", "..", "a/..", "\\out", "..\\out", "C:\\out", "c:out", "/"],
)
def test_no_entry_leaves_the_folder(tmp_path: Path, name: str) -> None:
    packed = pack(tmp_path / "x.zip", ("fine", b""), (name, b"gone"))
    with pytest.raises(InputError, match=r"lies outside|is not portable"):
        unpack_zip(packed, tmp_path / "deep" / "folder")
    assert left(tmp_path) == {"x.zip"}


def test_a_name_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    packed = pack(tmp_path / "x.zip", ("fine.jpgZ.exe", b""))
    packed.write_bytes(packed.read_bytes().replace(b"jpgZ", b"jpg\0"))
    with pytest.raises(InputError, match=r"fine\.jpg\\x00\.exe"):
        unpack_zip(packed, tmp_path / "folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_special_files_are_refused(tmp_path: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("inside")
    entry.external_attr = (kind | 0o777) << 16
    packed = pack(tmp_path / "x.zip", (entry, b"/etc"), ("inside/passwd", b"root"))
    with pytest.raises(InputError, match="is a link or a special file"):
        unpack_zip(packed, tmp_path / "folder")


def test_permissions_are_not_restored(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("run")
    entry.external_attr = (stat.S_IFREG | 0o6777) << 16
    folder = unpack_zip(pack(tmp_path / "x.zip", (entry, b"#!")), tmp_path / "folder")
    assert not (folder / "run").stat().st_mode & 0o7111


@pytest.mark.parametrize("names", [("same", "same"), ("same", "same/inside"), ("same/inside", "same")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_entry_overwrites_another(tmp_path: Path, names: tuple[str, str]) -> None:
    packed = pack(tmp_path / "x.zip", *((name, b"") for name in names))
    with pytest.raises(TunePaddyError, match="cannot be unpacked"):
        unpack_zip(packed, tmp_path / "folder")
    assert left(tmp_path) == {"x.zip"}


def test_a_bomb_is_refused_by_its_declared_sizes(tmp_path: Path) -> None:
    packed = pack(tmp_path / "x.zip", ("zeros", bytes(2**25)))
    with pytest.raises(InputError, match="would unpack to 33,554,432"):
        unpack_zip(packed, tmp_path / "folder")


@pytest.mark.parametrize("says", [10, 2**25])
def test_a_bomb_with_a_false_size_writes_no_more_than_declared(tmp_path: Path, says: int) -> None:
    real = 2**24
    packed = pack(tmp_path / "x.zip", ("zeros", bytes(real)), ("noise", bytes(range(256)) * 4000))
    content = packed.read_bytes().replace(struct.pack("<I", real), struct.pack("<I", says))
    packed.write_bytes(content + bytes(2**18))  # long enough for the ratio
    tracemalloc.start()
    with pytest.raises(InputError, match=r"x\.zip: cannot be unpacked: "):
        unpack_zip(packed, tmp_path / "folder")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23
    assert left(tmp_path) == {"x.zip"}


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """A bomb with overlapping entries lists one block many times in the central directory."""
    packed = tmp_path / "x.zip"
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("a", bytes(2**16))
        first = opened.filelist[0]
        for number in range(20):
            again = zipfile.ZipInfo(f"b{number}")
            again.header_offset, again.CRC = first.header_offset, first.CRC
            again.file_size = again.compress_size = 2**16
            opened.filelist.append(again)
        opened._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="too many for images"):
        unpack_zip(packed, tmp_path / "folder")


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MAX_ENTRIES", 3, "4 entries, more than 3"),
        ("MAX_BYTES", 50, "would unpack to"),
        ("_MAX_DIRECTORY", 100, "table of contents is too long"),
    ],
)
def test_the_limits_hold(
    sound: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, words: str
) -> None:
    monkeypatch.setattr(archive, limit, value)
    with pytest.raises(InputError, match=words):
        unpack_zip(sound, sound.parent / "folder")


def encrypted(content: bytes) -> bytes:
    return content.replace(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\1\0")


def unusual(content: bytes) -> bytes:
    return content.replace(b"PK\x01\x02\x14\x03\x14\0\0\0\x08", b"PK\x01\x02\x14\x03\x14\0\0\0\x0c")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (encrypted, "is encrypted"),
        (unusual, "unsupported compression"),
        (lambda content: content[:-30], r"sound\.zip: cannot be unpacked: "),
        (lambda _: b"", r"sound\.zip: cannot be unpacked: "),
    ],
)
def test_an_archive_is_refused_with_the_reason(
    sound: Path, tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    sound.write_bytes(change(sound.read_bytes()))
    with pytest.raises(InputError, match=words):
        unpack_zip(sound, tmp_path / "folder")


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.zip: cannot be read: No such file"):
        unpack_zip(tmp_path / "none.zip", tmp_path / "folder")


def test_a_full_disk_leaves_the_folder_unchanged(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    with pytest.raises(TunePaddyError, match="unpacking needs"):
        unpack_zip(sound, tmp_path / "folder")
    assert left(tmp_path) == {"sound.zip"}


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_archive_gives_a_folder_or_one_line(sound: Path, data: st.DataObject) -> None:
    content = bytearray(sound.read_bytes())
    damaged = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    for _ in range(data.draw(st.integers(0, 8))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    folder = sound.parent / "fuzz" / "folder"
    target = sound.with_name("damaged.zip")
    target.write_bytes(damaged)
    try:
        unpack_zip(target, folder)
    except TunePaddyError as error:
        assert "\n" not in str(error)  # noqa: PT017 either outcome is right
    for path in sorted(folder.parent.rglob("*"), reverse=True):
        assert path.is_relative_to(folder), "no partial files are left"
        path.rmdir() if path.is_dir() else path.unlink()
    if folder.parent.exists():
        folder.parent.rmdir()
    assert left(sound.parent) == {"sound.zip", "damaged.zip"}
