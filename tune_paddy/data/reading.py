"""Read a small file from outside: never a pipe that says nothing, never more than it may hold."""

import stat
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.wording import shown

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
