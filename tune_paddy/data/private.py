"""Folders and files for their owner alone, on a machine that others use too.

What is there already keeps its permissions: who wants to share a folder or a database makes it beforehand.
"""

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


def make_private_file(path: Path) -> Path:
    """Make an empty file with mode 0600 where there is none; return it.

    Raises:
        OSError: It cannot be made.
    """
    if not path.exists():
        path.touch(mode=0o600)
    return path
