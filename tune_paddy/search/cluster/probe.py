"""What a machine of a cluster has; runs there although packages that the program needs may be missing.

Ray sends this module by its content, so it imports the standard library alone.
"""

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def probe(packages: Sequence[str], *, image: str | None, images: str) -> dict[str, Any]:
    """Return what this machine has, as plain JSON.

    Args:
        packages: Names of distributions whose versions are asked for.
        image: Path of an image on the machine that begins the search; None: images do not travel.
        images: Name of the dataset's folder in the cache folder.

    Returns:
        `clock` (s since 1970), `versions` (name → version or None), `gpus` (name and memory in MiB of each),
        `has_image`, `cached` and `free` (bytes of images in the cache folder, and free on its disk), `cache`
        (that folder).
    """
    cache = _cache_folder()
    return {
        "clock": time.time(),
        "versions": {name: _version(name) for name in packages},
        "gpus": _gpus(),
        "has_image": image is not None and Path(image).is_file(),
        "cached": _bytes_in(cache / "datasets" / images),
        "free": shutil.disk_usage(_existing(cache)).free,
        "cache": str(cache),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cache_folder() -> Path:
    chosen = os.environ.get("TUNE_PADDY_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "tune-paddy"


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*"))


def _gpus() -> list[list[Any]]:
    with suppress(Exception):  # neither the driver nor its library has to be there
        import pynvml  # noqa: PLC0415 may be missing

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [
            [str(pynvml.nvmlDeviceGetName(it)), pynvml.nvmlDeviceGetMemoryInfo(it).total / 2**20]
            for it in handles
        ]
    return []
