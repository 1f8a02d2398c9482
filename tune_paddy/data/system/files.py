"""Files: atomic writes, reads with a size limit, private files and folders, and the cache folder.

An existing folder or file keeps its permissions: create it beforehand to share it.
"""

import difflib
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.text import shown


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file atomically: write a temporary file beside it, flush it, and rename it.

    A missing folder is created.

    Raises:
        TunePaddyError: The file cannot be written, for example for lack of space; the old content stays.
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
        with suppress(OSError):  # usually renamed by now
            unfinished.unlink()


MIB = 2**20


def read_file(path: Path, *, most: int, what: str) -> bytes:
    """Return the content of a regular file.

    Args:
        path: Path of the file.
        most: Maximum size, in MiB; it catches a wrong path before memory runs out.
        what: Expected kind of file, for the message, such as `a calibration`.

    Raises:
        InputError: The file is missing, a folder, a pipe or a device, too large, or unreadable.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{shown(path)}: is not a regular file, so it cannot be {what}")
        if found.st_size > most * MIB:
            raise InputError(f"{shown(path)}: is larger than {most} MiB, so it cannot be {what}")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a zero byte in the name
        raise InputError(f"{shown(path)}: cannot be read: {error}") from error


def read_text(path: Path, *, most: int, what: str) -> str:
    """Return the content of a regular file, decoded as UTF-8; the arguments are those of `read_file`.

    Raises:
        InputError: The file cannot be read, see `read_file`, or is not UTF-8.
    """
    try:
        return read_file(path, most=most, what=what).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{shown(path)}: is not UTF-8 text, so it cannot be {what}") from error


def similar_files(missing: Path) -> str:
    """Return `; did you mean …?` with the files beside a missing one whose names are similar, or nothing."""
    try:
        names = [] if missing.exists() else [path.name for path in missing.parent.iterdir()]
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        return ""
    nearest = [missing.with_name(name) for name in difflib.get_close_matches(missing.name, names, n=3)]
    return f"; did you mean {', '.join(map(shown, nearest))}?" if nearest else ""


def make_private_folder(folder: Path) -> Path:
    """Create a folder and its missing parents with mode 0700; return it.

    Raises:
        OSError: The folder cannot be created.
    """
    folder = folder.absolute()
    for path in (*reversed(folder.parents), folder):
        path.mkdir(mode=0o700, exist_ok=True)
    return folder


def is_mine_alone(folder: Path) -> bool:
    """Return whether this user owns a folder and no other may write to it: its files can be trusted."""
    found = folder.stat()
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return mine and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def make_private_file(path: Path) -> Path:
    """Create an empty file with mode 0600 if it is missing; return it.

    Raises:
        OSError: The file cannot be created.
    """
    if not path.exists():
        path.touch(mode=0o600)
    return path


def cache_folder(name: str) -> Path:
    """Return the cache folder of one kind of files: under $TUNE_PADDY_CACHE, or ~/.cache/tune-paddy."""
    chosen = os.environ.get("TUNE_PADDY_CACHE")
    return (Path(chosen) if chosen else Path.home() / ".cache" / "tune-paddy") / name
