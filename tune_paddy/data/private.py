"""Folders and files for their owner alone, on a machine that others use too.

What is there already keeps its permissions: who wants to share a folder or a database makes it beforehand.
"""

import os
import stat
from pathlib import Path


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
