"""Write a file so that it is there completely or not at all."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.wording import shown


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
