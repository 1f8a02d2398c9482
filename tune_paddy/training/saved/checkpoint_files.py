"""The files of checkpoints, by their names: whoever only removes them needs no torch."""

import shutil
from collections.abc import Iterable
from pathlib import Path

CHECKPOINTS = "checkpoint-*.safetensors"
LEFTOVERS = (".*.partial", ".*.part", "tune_paddy-*", "stalled.txt")
"""What an ended process may leave: weights and files half written, a folder on its way to the record, where
it hung."""


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a member that is done, its folds' too, and what an ended process left."""
    _remove(folder, (CHECKPOINTS, *LEFTOVERS))


def remove_leftovers(folder: Path) -> None:
    """Remove what an ended process left of a member, but for its checkpoints: it may go on."""
    _remove(folder, LEFTOVERS)


def _remove(folder: Path, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        for path in list(folder.rglob(pattern)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
