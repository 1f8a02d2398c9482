"""Where files are kept that only save time: deleting them costs nothing else."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return the folder for cached files of one kind: under $TUNE_PADDY_CACHE, or ~/.cache/tune-paddy."""
    chosen = os.environ.get("TUNE_PADDY_CACHE")
    return (Path(chosen) if chosen else Path.home() / ".cache" / "tune-paddy") / name
