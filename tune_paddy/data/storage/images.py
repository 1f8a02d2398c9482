"""The images of a dataset in a storage: named by their content, so that each is stored and copied once.

Each machine of a cluster uses the images at the paths of the machine that began the search if it has the same
files there; otherwise it copies them from the storage into a cache folder, once for all trials.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.image_cache.cache import SPARE, ImageSet
from tune_paddy.data.storage.storage import PARTIAL, Storage
from tune_paddy.data.system.files import make_private_folder, write_atomically
from tune_paddy.data.system.locks import file_lock
from tune_paddy.data.system.patience import current_patience
from tune_paddy.data.system.progress.stages import SILENT, Progress
from tune_paddy.data.system.text import counted, shown

FOLDER = ".images"
"""Folder of the images in a storage; no search has a name with a leading dot."""

_OBJECTS = "objects"
_THREADS = 16
"""Number of images that are copied at once: most of the time is spent waiting for the storage."""

_SEEN = "seen.json"
_MANIFEST = "manifest.json"
_GB = 10**9

T = TypeVar("T")


def push_images(images: ImageSet, storage: Storage, *, progress: Progress = SILENT) -> int:
    """Copy the images of a dataset into a storage; skip those that it has.

    The manifest, which lists the images, is written last: a dataset that has one is complete.

    Args:
        images: Images with their checksums.
        storage: The storage.
        progress: Receiver of the stage.

    Returns:
        Number of images that were copied.

    Raises:
        InputError: An image cannot be read, or has changed since the dataset was opened.
        TunePaddyError: The storage failed.
    """
    place = storage.folder(FOLDER)
    progress.stage("listing the storage")
    stored = {name: stamp.size for name, stamp in place.folder(_OBJECTS).files().items()}
    files = _by_sum(images)
    sizes = image_sizes(images)
    lacking = {sum_: path for sum_, path in files.items() if stored.get(_name(sum_)) != sizes[sum_]}

    def push(sum_: str) -> None:
        place.folder(_OBJECTS).write(_name(sum_), _read(lacking[sum_], sum_))

    _each(push, lacking, f"uploading {counted(len(lacking), 'image')}", progress)
    manifest = f"{images.fingerprint}.json"
    if lacking or place.stamp(manifest) is None:
        place.write(manifest, json.dumps({"format": 1, "files": sizes}).encode())
    progress.clear()
    return len(lacking)


def image_sizes(images: ImageSet) -> dict[str, int]:
    """Return the size of each image that travels: SHA-256 → bytes.

    Raises:
        InputError: An image cannot be read.
    """
    return {sum_: _readable(path, Path(path).stat).st_size for sum_, path in _by_sum(images).items()}


def images_here(images: ImageSet, storage: Storage, cache: Path) -> dict[str, str]:
    """Return where this machine has the images; copy those that it lacks from the storage.

    Args:
        images: Images with their checksums, at the paths of another machine.
        storage: Storage that has them.
        cache: Folder for images that are not at these paths, created if missing.

    Returns:
        Path → path on this machine; the same one if the files there are the same.

    Raises:
        TunePaddyError: The storage lacks an image or has a damaged one, or the disk has no space or cannot be
            written.
    """
    folder = _private_folder(cache / images.fingerprint)
    with file_lock(cache / f".{images.fingerprint}.lock"):
        if _same_files(images, folder):
            return {path: path for path in images.paths}
        place = storage.folder(FOLDER)
        sizes = _manifest(images, place, folder)
        here = {sum_: folder / _name(sum_, Path(path).suffix) for sum_, path in _by_sum(images).items()}
        lacking = {sum_: path for sum_, path in here.items() if _size(path) != sizes.get(sum_, -1)}
        _require_space(folder, sum(sizes.get(sum_, 0) for sum_ in lacking), len(lacking))
        _each(lambda sum_: _pull(place.folder(_OBJECTS), sum_, lacking[sum_]), lacking, "", SILENT)
    return {path: str(here[sum_]) for path, sum_ in zip(images.paths, images.sums, strict=True)}


def _same_files(images: ImageSet, folder: Path) -> bool:
    """Return whether this machine has these files at these paths; read them once, then compare times."""
    try:
        stats = [os.stat(path) for path in images.paths]  # noqa: PTH116 a quarter of the time
    except OSError:
        return False
    facts = [[stat.st_size, stat.st_mtime_ns] for stat in stats]
    seen = hashlib.sha256(json.dumps([images.paths, facts]).encode()).hexdigest()
    with suppress(OSError):
        if (folder / _SEEN).read_text() == seen:
            return True
    with ThreadPoolExecutor(_THREADS) as pool:
        same = all(pool.map(_has, images.paths, images.sums))
    if same:
        write_atomically(folder / _SEEN, seen.encode())
    return same


def _has(path: str, sum_: str) -> bool:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest() == sum_
    except OSError:
        return False


def _manifest(images: ImageSet, place: Storage, folder: Path) -> Mapping[str, int]:
    """Return the size of each image of a dataset: SHA-256 → bytes."""
    known = folder / _MANIFEST
    with suppress(OSError, ValueError, KeyError, TypeError):
        return _sizes(known.read_bytes())
    content = place.read(f"{images.fingerprint}.json")
    try:
        sizes = _sizes(content or b"")
    except (ValueError, KeyError, TypeError) as error:
        raise TunePaddyError(
            f"{place} has no complete dataset {images.fingerprint}, and this machine has no images at "
            f"{shown(Path(images.paths[0]).parent)}; upload it with `tune-paddy data push DATA STORAGE`"
        ) from error
    write_atomically(known, content or b"")
    return sizes


def _sizes(content: bytes) -> Mapping[str, int]:
    sizes = json.loads(content)["files"]
    return {str(sum_): int(size) for sum_, size in sizes.items()}


def _pull(objects: Storage, sum_: str, target: Path) -> None:
    """Copy an image to this machine, unless its content is not that of its name."""
    content = objects.read(_name(sum_))
    if content is None or hashlib.sha256(content).hexdigest() != sum_:
        raise TunePaddyError(
            f"{objects}/{_name(sum_)}: {'is missing' if content is None else 'is damaged'}; remove it, and "
            "upload the dataset again with `tune-paddy data push DATA STORAGE`"
        )
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        target.parent.mkdir(exist_ok=True)
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        raise TunePaddyError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _private_folder(folder: Path) -> Path:
    try:
        return make_private_folder(folder)
    except OSError as error:
        raise TunePaddyError(
            f"{shown(folder)}: cannot be created: {error.strerror or error}; set TUNE_PADDY_CACHE to a "
            "folder that this user can write"
        ) from error


def _require_space(folder: Path, needed: int, count: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed and needed + SPARE > free:
        raise TunePaddyError(
            f"{shown(folder)}: {counted(count, 'image')} take {needed / _GB:.1f} GB, and the disk has "
            f"{free / _GB:.1f} GB free; free some, or set TUNE_PADDY_CACHE to a folder of a larger disk"
        )


def _readable(path: str, read: Callable[[], T]) -> T:
    """Return what a function reads of an image; an image that was there may be gone, or its disk."""
    try:
        return read()
    except OSError as error:
        raise InputError(
            f"{shown(path)}: cannot be read: {error.strerror or error}; the machines of a cluster need every "
            "image: make it readable, or remove it from the dataset, and run the same command again"
        ) from error


def _read(path: str, sum_: str) -> bytes:
    content = _readable(path, Path(path).read_bytes)
    if hashlib.sha256(content).hexdigest() != sum_:
        raise InputError(f"{shown(path)}: has changed since the dataset was read; run the same command again")
    return content


def _each(action: Callable[[str], Any], names: Iterable[str], what: str, progress: Progress) -> None:
    """Call a function for each name, in several threads; stop at the first error, also calls that wait."""
    names, patience = list(names), current_patience().shared()
    if what and names:
        progress.stage(what, len(names))

    def act(name: str) -> None:
        with patience.applied():
            action(name)

    with ThreadPoolExecutor(_THREADS) as pool:
        tasks = [pool.submit(act, name) for name in names]
        try:
            for task in tasks:
                task.result()
                progress.advance()
        except BaseException:
            patience.end_in(0)
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _by_sum(images: ImageSet) -> dict[str, str]:
    """Return SHA-256 → path of a file with this content."""
    return dict(zip(images.sums, images.paths, strict=True))


def _name(sum_: str, suffix: str = "") -> str:
    """Return the name of an image below its folder; a machine's copy keeps the suffix, which readers use."""
    return f"{sum_[:2]}/{sum_}{suffix.lower()}"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
