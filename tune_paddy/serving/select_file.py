"""Predictions of the select split beside the weights: to choose fewer members from when time is short."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.data.wording import shown

SELECT_FILE = "select.npz"


def write_select(folder: Path, probs: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Write float32 [views, images, classes] and int64 [images]."""
    np.savez_compressed(folder / SELECT_FILE, allow_pickle=False, probs=probs, labels=labels)


def read_select(folder: Path, n_views: int, n_classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read them back.

    Raises:
        InputError: The file is missing, damaged, or of other views or classes.
    """
    path = folder / SELECT_FILE
    try:
        with np.load(path, allow_pickle=False) as file:
            probs, labels = file["probs"].astype(np.float32), file["labels"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{shown(path)}: cannot be read: {error}; export the ensemble again") from error
    if probs.shape != (n_views, len(labels), n_classes) or not np.isfinite(probs).all():
        raise InputError(f"{shown(path)}: does not fit {n_views} views of {n_classes} classes: export again")
    return probs, labels
