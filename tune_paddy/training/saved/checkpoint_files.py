"""Names of the files of a training that has not ended; removing them needs no torch."""

import shutil
from collections.abc import Iterable
from pathlib import Path

CHECKPOINTS = "checkpoint-*.safetensors"
RESULT = "fold.npz"
"""File with the predictions and metrics of a finished fold; holds no pickles."""

LEFTOVERS = (".*.partial", ".*.part", "tune_paddy-*", "stalled.txt")
"""Patterns of what a killed process may leave: partial files, folders for upload, reports of a stall."""


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a finished member, including its folds', and the leftovers."""
    _remove(folder, (CHECKPOINTS, *LEFTOVERS))


def remove_leftovers(folder: Path) -> None:
    """Remove the leftovers of a killed process, but not the member's checkpoints: it may be resumed."""
    _remove(folder, LEFTOVERS)


def _remove(folder: Path, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        for path in list(folder.rglob(pattern)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
