"""Predictions of the select split beside the weights: to choose fewer members from when time is short."""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.files import read_file
from tune_paddy.data.system.text import shown

SELECT_FILE = "select.npz"
MAX_MIB = 4096
"""Most that is read, and most that it may unpack to."""


def write_select(folder: Path, probs: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Write float32 [views, images, classes] and int64 [images]."""
    np.savez_compressed(folder / SELECT_FILE, allow_pickle=False, probs=probs, labels=labels)


def read_select(folder: Path, n_views: int, n_classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read them back.

    Raises:
        InputError: The file is missing, damaged, or of other views or classes.
    """
    path = folder / SELECT_FILE
    content = read_file(path, most=MAX_MIB, what="predictions of an export")
    try:
        probs, labels = _unpacked(content)
    except Exception as error:  # whatever a broken file sets off in the parsers of zip and .npy
        reason = shown(str(error))
        raise InputError(f"{shown(path)}: cannot be read: {reason}; export the ensemble again") from error
    if probs.shape != (n_views, len(labels), n_classes) or not np.isfinite(probs).all():
        raise InputError(f"{shown(path)}: does not fit {n_views} views of {n_classes} classes: export again")
    return probs, labels


def _unpacked(content: bytes) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_MIB * 2**20:
        raise ValueError(f"it unpacks to more than {MAX_MIB} MiB")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return file["probs"].astype(np.float32), file["labels"].astype(np.int64)
