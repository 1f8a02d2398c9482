"""Files: written completely or not at all, read within a limit, private to their owner, and cached.

A folder or file that is there already keeps its permissions: make it beforehand to share it.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.text import shown


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the file, flush to the disk, then take its place; its folder is made when missing.

    Raises:
        TunePaddyError: It cannot be written, such as for want of space; what was there before stays.
    """
    unfinished = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise TunePaddyError(f"{shown(path)}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # usually it has become the file
            unfinished.unlink()


MIB = 2**20


def read_file(path: Path, *, most: int, what: str) -> bytes:
    """Return the content of a plain file.

    Args:
        path: Of the file.
        most: MiB that such a file may have; tells a mistaken name from a large file before memory runs out.
        what: The file should be, for the message, such as `a calibration`.

    Raises:
        InputError: There is none, it is a folder, a pipe or a device, is too large, or cannot be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{shown(path)}: is no plain file, so it cannot be {what}")
        if found.st_size > most * MIB:
            raise InputError(f"{shown(path)}: is larger than {most} MiB, so it cannot be {what}")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the name
        raise InputError(f"{shown(path)}: cannot be read: {error}") from error


def read_text(path: Path, *, most: int, what: str) -> str:
    """As `read_file`, decoded as UTF-8.

    Raises:
        InputError: As `read_file`, or it is not UTF-8.
    """
    try:
        return read_file(path, most=most, what=what).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{shown(path)}: is not UTF-8 text, so it cannot be {what}") from error


def make_private_folder(folder: Path) -> Path:
    """Make a folder, and those above it that are missing, each with mode 0700; return it.

    Raises:
        OSError: It cannot be made.
    """
    folder = folder.absolute()
    for path in (*reversed(folder.parents), folder):
        path.mkdir(mode=0o700, exist_ok=True)
    return folder


def is_mine_alone(folder: Path) -> bool:
    """Whether a folder is this user's and no other may write into it: what stands there may be run."""
    found = folder.stat()
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return mine and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def make_private_file(path: Path) -> Path:
    """Make an empty file with mode 0600 where there is none; return it.

    Raises:
        OSError: It cannot be made.
    """
    if not path.exists():
        path.touch(mode=0o600)
    return path


def cache_folder(name: str) -> Path:
    """Return the folder for cached files of one kind: under $TUNE_PADDY_CACHE, or ~/.cache/tune-paddy."""
    chosen = os.environ.get("TUNE_PADDY_CACHE")
    return (Path(chosen) if chosen else Path.home() / ".cache" / "tune-paddy") / name
