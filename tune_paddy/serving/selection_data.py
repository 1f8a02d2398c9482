"""Predictions of the select split in an export, used to select fewer members when time is short."""

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
"""Limit of the file's size and of its unpacked size, in MiB."""


def write_select(folder: Path, probs: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    """Write predictions, float32 [views, images, classes], and labels, int64 [images]."""
    np.savez_compressed(folder / SELECT_FILE, allow_pickle=False, probs=probs, labels=labels)


def read_select(folder: Path, n_views: int, n_classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Read predictions, float32 [views, images, classes], and labels, int64 [images].

    Raises:
        InputError: The file is missing or damaged, or its shape does not match.
    """
    path = folder / SELECT_FILE
    content = read_file(path, most=MAX_MIB, what="predictions of an export")
    try:
        probs, labels = _unpacked(content)
    except Exception as error:  # the parsers of zip and .npy raise many types for a damaged file
        reason = shown(str(error))
        raise InputError(f"{shown(path)}: cannot be read: {reason}; export the ensemble again") from error
    if probs.shape != (n_views, len(labels), n_classes) or not np.isfinite(probs).all():
        raise InputError(f"{shown(path)}: does not match {n_views} views, {n_classes} classes: export again")
    return probs, labels


def _unpacked(content: bytes) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_MIB * 2**20:
        raise ValueError(f"it unpacks to more than {MAX_MIB} MiB")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return file["probs"].astype(np.float32), file["labels"].astype(np.int64)
