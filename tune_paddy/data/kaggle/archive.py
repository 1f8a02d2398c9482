"""Safe extraction of untrusted zip archives: no paths outside the folder, no full disk.

All entries are checked before the first byte is written, and the folder appears atomically.
"""

import io
import re
import secrets
import shutil
import stat
import zipfile
import zlib
from pathlib import Path

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.text import shown

MAX_ENTRIES = 500_000
"""Maximum number of files and folders in an archive."""

MAX_BYTES = 256 * 2**30
"""Maximum total size after unpacking, in bytes."""

MAX_RATIO = 200
"""Maximum compression ratio; photographs hardly compress, tables by a factor of 10 to 30."""

_ALWAYS_ALLOWED = 2**20  # bytes; a small table of equal rows has a higher ratio
_MAX_DIRECTORY = 64 * 2**20  # bytes of the central directory, which is parsed in memory
_CHUNK = 2**20
_KNOWN = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_PLAIN = {0, stat.S_IFREG, stat.S_IFDIR}  # 0: written on a system without file types
_DRIVE = re.compile("[A-Za-z]:")

_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, ValueError, EOFError, RuntimeError)
"""Exceptions that the parser raises for damaged archives."""


def unpack_zip(archive: Path, folder: Path) -> Path:
    """Unpack a zip archive into a new folder atomically.

    Only names and contents are used: no permissions, owners, times or links.

    Args:
        archive: Path of an archive of regular files and folders, stored or deflated.
        folder: Target folder, missing or empty.

    Returns:
        The folder.

    Raises:
        InputError: The folder is not empty; or the archive cannot be read, is damaged or encrypted, has an
            entry outside the folder or of a special type, or unpacks to too many bytes.
        TunePaddyError: A file cannot be written, for example for lack of space; the folder is unchanged.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{shown(folder)}: already exists; name a missing or empty folder")
    unfinished = folder.with_name(f".{folder.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with _opened(archive) as file, zipfile.ZipFile(file) as opened:
            entries = _checked(archive, opened.infolist())
            _make(unfinished, entries)
            for entry in entries:
                if not entry.is_dir():
                    _write(opened, entry, unfinished / entry.filename)
        unfinished.replace(folder)
    except _BROKEN as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{shown(archive)}: cannot be unpacked: {shown(reason)}") from error
    except OSError as error:
        raise TunePaddyError(
            f"{shown(folder)}: {shown(archive)} cannot be unpacked there: {error.strerror or error}"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)  # usually renamed by now
    return folder


class _BoundedReader(io.BufferedReader):
    """Reader that limits the size of one read: `zipfile` reads the whole central directory at once."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._size - self.tell() if size is None or size < 0 else size
        if wanted > _MAX_DIRECTORY:
            raise zipfile.BadZipFile("its table of contents is too long")
        return super().read(size)


def _opened(archive: Path) -> _BoundedReader:
    try:
        return _BoundedReader(archive)
    except OSError as error:
        raise InputError(f"{shown(archive)}: cannot be read: {error.strerror}") from error


def _checked(archive: Path, entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Return the entries; raise if any of them is invalid."""
    if len(entries) > MAX_ENTRIES:
        raise InputError(f"{shown(archive)}: has {len(entries):,} entries, more than {MAX_ENTRIES:,}")
    for entry in entries:
        problem = _problem(entry)
        if problem:
            raise InputError(f"{shown(archive)}: the entry '{shown(entry.orig_filename)}' {problem}")
    size, packed = archive.stat().st_size, sum(entry.compress_size for entry in entries)
    unpacked = sum(entry.file_size for entry in entries)
    if packed > size or unpacked > min(MAX_BYTES, max(MAX_RATIO * size, _ALWAYS_ALLOWED)):
        raise InputError(
            f"{shown(archive)}: {size:,} bytes would unpack to {unpacked:,}, too many for images"
        )
    return entries


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """Return why an entry is refused, or None."""
    name = entry.orig_filename
    if "\\" in name or "\0" in name or _DRIVE.match(name):
        return "has a name that is not portable"
    if not name.strip("/") or name.startswith("/") or ".." in name.split("/"):
        return "lies outside the archive's folder"
    if stat.S_IFMT(entry.external_attr >> 16) not in _PLAIN:
        return "is a link or a special file"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in _KNOWN:
        return "uses an unsupported compression; pack the files again"
    return None


def _make(folder: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Create the folder and its subfolders, if there is enough disk space."""
    folder.mkdir(parents=True)
    unpacked, free = sum(entry.file_size for entry in entries), shutil.disk_usage(folder).free
    if unpacked > free:
        raise TunePaddyError(f"unpacking needs {unpacked / 2**30:.1f} GiB, and {free / 2**30:.1f} are free")
    names = (name for entry in entries if (name := entry.filename.rpartition("/")[0]))
    for name in sorted(set(names)):
        (folder / name).mkdir(parents=True, exist_ok=True)


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    left = entry.file_size
    # "x": two entries of one name, also on a case-insensitive file system, must not overwrite each other.
    with opened.open(entry) as source, path.open("xb") as target:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{entry.filename} is longer than declared")
            target.write(chunk)
    if left:
        raise zipfile.BadZipFile(f"{entry.filename} is shorter than declared")
