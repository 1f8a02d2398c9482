"""The files of checkpoints, by their names: whoever only removes them needs no torch."""

import shutil
from pathlib import Path

CHECKPOINTS = "checkpoint-*.safetensors"
LEFTOVERS = (".*.partial", ".*.part", "tune_paddy-*")
"""What a killed process may have been writing: weights, other files, a folder on its way to the record."""


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a member that is done, its folds' too, and what a killed process left."""
    for pattern in (CHECKPOINTS, *LEFTOVERS):
        for path in list(folder.rglob(pattern)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
