"""Calibration files: those shipped with the package, and those measured on this machine."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from tune_paddy.core.calibration import Calibration
from tune_paddy.core.errors import InputError
from tune_paddy.core.gpus import same_model
from tune_paddy.data.system.files import cache_folder, make_private_folder, read_file, write_atomically

GENERIC = "generic"
"""Name of the calibration for GPUs without a measurement."""


def load_calibration(name: str, own: Path | None = None) -> Calibration:
    """Load a calibration by its name, or by the path of its file.

    Args:
        name: Name, or a path that ends in `.json`.
        own: Folder of this machine's calibrations; None: the user's cache.

    Raises:
        InputError: There is no such calibration, or its file is invalid.
    """
    if name.endswith(".json"):
        return _read(Path(name))
    known = {calibration.name: calibration for calibration in all_calibrations(own)}
    if name not in known:
        raise InputError(f"there is no calibration {name!r}; use one of {', '.join(sorted(known))}")
    return known[name]


def choose_calibration(gpu: str | None, torch_version: str, own: Path | None = None) -> Calibration:
    """Choose the calibration of this GPU model and torch version, else the generic calibration.

    A calibration of the same GPU model with another torch comes second: the context differs between
    releases, but less than between GPU models.

    Args:
        gpu: Name of the GPU, as torch reports it; None: no GPU.
        torch_version: Version such as `2.15.0+cu132`; major and minor must match.
        own: Folder of this machine's calibrations; None: the user's cache.
    """
    same_gpu = [c for c in all_calibrations(own) if gpu and c.gpu and same_model(c.gpu, gpu)]
    same_torch = [c for c in same_gpu if _minor(c.versions.get("torch", "")) == _minor(torch_version)]
    found = same_torch or same_gpu
    return found[-1] if found else load_calibration(GENERIC, own)


def all_calibrations(own: Path | None = None) -> list[Calibration]:
    """Return the package's calibrations, then this machine's, each in the order of file names."""
    return list(_all(own or cache_folder("calibrations")))


def save_calibration(calibration: Calibration, own: Path | None = None) -> Path:
    """Save a calibration for later plans on this machine; overwrite one of the same name; return its path."""
    folder = own or cache_folder("calibrations")
    make_private_folder(folder)
    path = folder / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', calibration.name)}.json"
    write_atomically(path, (calibration.model_dump_json(indent=1) + "\n").encode())
    return path


def _all(own: Path) -> Iterator[Calibration]:
    with_package = Path(str(files("tune_paddy.training.forecast"))) / "calibrations"
    for folder in (with_package, own):
        for path in sorted(folder.glob("*.json")):
            yield _read(path)


def _read(path: Path) -> Calibration:
    try:
        return Calibration.model_validate_json(read_file(path, most=1, what="a calibration"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise InputError(f"{path}: {where}: not a valid calibration: {first['msg']}") from error


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
