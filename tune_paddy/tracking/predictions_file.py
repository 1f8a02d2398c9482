"""The file of a member's predictions, `predictions.npz`: plain arrays, no pickles.

| entry | dtype | shape |
|---|---|---|
| `format` | int64 | scalar: the version of this table |
| `classes` | str | [classes] |
| `split` | str | scalar: fingerprint of the select split |
| `select_ids` | str | [select images] |
| `select_labels` | int64 | [select images], indices into `classes`; or 0 and 1, [select images, classes] |
| `test_ids` | str | [test images] |
| `select_VIEW` | float32 | [select images, classes], one entry per view |
| `test_VIEW` | float32 | [test images, classes], the same views |
| `fold_select` | float16 | [folds, select images, classes], with folds: predictions of each model, plain |
| `fold_trained` | bool | [folds, select images]: whether the model trained on the image |
| `fold_test` | float16 | [folds, test images, classes]: predictions of each model, tta or plain |

Entries are not compressed, so a file never unpacks to more than its own size. `numpy.load(path)` reads it.
Equal predictions give equal bytes.
"""

import io
import math
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.core.predictions import FoldPredictions, Predictions, check
from tune_paddy.core.tasks.names import CLASSES
from tune_paddy.core.tasks.task import Task

FILE_NAME = "predictions.npz"
FORMAT = 1
MAX_FILE_BYTES = 4 * 2**30
MAX_ENTRIES = 64

_FIXED = {
    "format": ("i", 0),
    "classes": ("U", 1),
    "split": ("U", 0),
    "select_ids": ("U", 1),
    "select_labels": ("i", None),
    "test_ids": ("U", 1),
}
"""Entry → kind of its dtype, number of its dimensions; None: one or two."""

_FOLDS = {"fold_select": ("e", 3), "fold_trained": ("b", 2), "fold_test": ("e", 3)}
"""The same of entries that are there together, or not at all."""

_LATER: dict[str, tuple[str, int | None]] = {"task": ("U", 0), **_FOLDS}
"""The same of entries that files of older versions lack."""

_ENTRIES = _FIXED | _LATER

_DTYPES = {"i": "<i8", "f": "<f4", "e": "<f2", "b": "|b1"}
"""Kind of dtype, `e` for half precision → dtype."""
_VIEW = re.compile(r"(select|test)_(?!(?:ids|labels)$)([a-z0-9]+)")


class _BrokenFileError(Exception):
    """A file is damaged; the caller adds its path to the message."""


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions to a file, atomically.

    Args:
        path: Path of the file; its folder must exist.
        predictions: Predictions; probabilities are stored as float32.

    Raises:
        TunePaddyError: The predictions are not valid, such as values that are not finite, or the file
            cannot be written.
    """
    problem = _problem(predictions)
    if problem:
        raise TunePaddyError(f"predictions not written to {path}: {problem}")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            try:
                _write_entries(file, _arrays(predictions))
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise TunePaddyError(f"{path}: cannot be written ({error})") from error


def read_predictions(path: Path) -> Predictions:
    """Read predictions from an untrusted file.

    No pickle is loaded. Memory use is limited to a few times the size of the file.

    Raises:
        InputError: The file is missing or damaged, or its predictions are not valid.
    """
    try:
        predictions = _from_arrays(_read_entries(path))
        problem = _problem(predictions)
    except _BrokenFileError as error:
        problem = str(error)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except Exception as error:  # a damaged file may raise anything in the parsers of zip and .npy
        problem = f"damaged, or not an .npz file ({' '.join(str(error).split())[:200]})"
    if problem:
        raise InputError(f"{path}: {problem}")
    return predictions


def _arrays(predictions: Predictions) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(FORMAT, "<i8"),
        "classes": _text(list(predictions.classes)),
        "split": _text(predictions.split),
        "select_ids": _text(predictions.select_ids.tolist()),
        "select_labels": np.ascontiguousarray(predictions.select_labels, "<i8"),
        "test_ids": _text(predictions.test_ids.tolist()),
        **({} if predictions.task.name == CLASSES else {"task": _text(predictions.task.name)}),
    }
    for part, by_view in (("select", predictions.select), ("test", predictions.test)):
        for view in sorted(by_view):
            arrays[f"{part}_{view}"] = np.ascontiguousarray(by_view[view], "<f4")
    if predictions.by_fold is not None:
        for name, (kind, _) in _FOLDS.items():
            own = getattr(predictions.by_fold, name.removeprefix("fold_"))
            arrays[name] = np.ascontiguousarray(own, _DTYPES[kind])
    return arrays


def _text(value: str | list[str]) -> NDArray[np.str_]:
    """Return the narrowest array that holds the text, so that equal text gives equal bytes."""
    return np.array(value, np.str_)


def _write_entries(file: IO[bytes], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write what `numpy.savez` writes, but without timestamps or pickles and in one .npy version."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, version=(1, 0), allow_pickle=False)


def _read_entries(path: Path) -> dict[str, NDArray[Any]]:
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _BrokenFileError(f"{size / 2**30:.1f} GiB exceed the limit of {MAX_FILE_BYTES // 2**30} GiB")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > size:
            raise _BrokenFileError("it would unpack to more than its own size")
        names = [entry.filename.removesuffix(".npy") for entry in entries]
        _check_names(names)
        return {name: _read_entry(archive, entry) for name, entry in zip(names, entries, strict=True)}


def _check_names(names: list[str]) -> None:
    unknown = sorted(name for name in set(names) - _ENTRIES.keys() if not _VIEW.fullmatch(name))
    missing = sorted(_FIXED.keys() - set(names))
    if unknown or missing or len(set(names)) < len(names):
        raise _BrokenFileError(
            f"its entries are not those of predictions (unknown: {unknown[:5]}, missing: {missing})"
        )


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """Read one array after checking that its header matches the entry's type and size."""
    name = entry.filename.removesuffix(".npy")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise _BrokenFileError(f"{name} is compressed; predictions are stored without compression")
    data = io.BytesIO(archive.read(entry))
    shape, dtype = _read_header(data, name)
    kind, axes = _ENTRIES.get(name, ("f", 2))
    axes = min(max(len(shape), 1), 2) if axes is None else axes
    wanted = _DTYPES.get(kind)
    fits = dtype.kind == kind if wanted is None else dtype == np.dtype(wanted)
    if not fits or not dtype.itemsize:
        raise _BrokenFileError(f"{name} has dtype {dtype} where {wanted or 'text'} is needed")
    if len(shape) != axes or math.prod(shape) * dtype.itemsize != len(data.getbuffer()) - data.tell():
        raise _BrokenFileError(
            f"{name} has shape {shape}, which does not match {axes} dimensions or the size of the entry"
        )
    data.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(data, allow_pickle=False)
    return array


def _read_header(data: io.BytesIO, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(data)
    if version != (1, 0):
        raise _BrokenFileError(f"{name} has .npy version {version} where (1, 0) is needed")
    shape, _, dtype = np.lib.format.read_array_header_1_0(data)
    return shape, dtype


def _from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Predictions:
    version = int(arrays["format"])
    if version != FORMAT:
        raise _BrokenFileError(
            f"it has format {version}, this program reads {FORMAT}; use the program that wrote it"
        )
    parts: dict[str, dict[str, NDArray[Any]]] = {"select": {}, "test": {}}
    for name in arrays.keys() - _ENTRIES.keys():
        part, _, view = name.partition("_")
        parts[part][view] = arrays[name]
    return Predictions(
        classes=tuple(arrays["classes"].tolist()),
        split=str(arrays["split"]),
        select_ids=arrays["select_ids"],
        select_labels=arrays["select_labels"],
        test_ids=arrays["test_ids"],
        select=dict(sorted(parts["select"].items())),
        test=dict(sorted(parts["test"].items())),
        task=Task.of(str(arrays["task"]) if "task" in arrays else None),
        by_fold=_by_fold(arrays),
    )


def _by_fold(arrays: Mapping[str, NDArray[Any]]) -> FoldPredictions | None:
    found = {name.removeprefix("fold_"): arrays[name] for name in _FOLDS if name in arrays}
    if not found:
        return None
    if len(found) < len(_FOLDS):
        raise _BrokenFileError(f"of {', '.join(_FOLDS)} it has only {', '.join(found)}")
    return FoldPredictions(**found)


def _problem(predictions: Predictions) -> str | None:
    """Return what makes predictions invalid, or None."""
    if len(set(predictions.classes)) != len(predictions.classes):
        return "a class is listed twice"
    odd = sorted(view for view in predictions.select if not _VIEW.fullmatch(f"select_{view}"))
    if odd:
        return f"view {odd[0]!r} is not a name of lower-case letters and digits"
    return check(predictions)
