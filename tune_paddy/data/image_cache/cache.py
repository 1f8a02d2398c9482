"""Image cache: each image is decoded and scaled once per machine, for all trials of all searches.

An *entry* is a folder with all images of one dataset after the first step of one resize method, see
`tune_paddy.data.resizing`. A limit bounds the total size; the least recently used entries are removed
first. `tune_paddy.data.image_cache.entry` describes and builds an entry.

Locks end with the process that holds them. The cache is optional: on any error, images are read from their
files instead.
"""

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout
from PIL import Image

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.image_cache.entry import PATIENCE, CachedImages, shard_length
from tune_paddy.data.image_cache.shards import SUFFIX
from tune_paddy.data.resizing import Pixels, Size, scaled_size, visible_part
from tune_paddy.data.system.files import cache_folder, make_private_folder, write_atomically

FORMAT = 1
"""Format version, incremented when cached pixels change; entries of other versions are ignored."""

GB = 10**9

SPARE = GB
"""Disk space to keep free, in bytes."""

_CONTAINER = Path("/sys/fs/cgroup/memory.max")
"""File in which Linux reports a container's memory limit."""

_ABOUT = "entry.json"
_USERS = "users"
_SAMPLED = 64
_FRESH = 60.0
"""Time without growth, in seconds, after which an entry counts as not being built."""


class CacheRefusedError(TunePaddyError):
    """The images cannot be cached; the message gives the reason in one line."""


@dataclass(frozen=True)
class ImageSet:
    """All images of a dataset, in an order that its fingerprint determines.

    Attributes:
        fingerprint: Hash of the contents of all files, hexadecimal.
        paths: Paths of the files.
        pixel_range: Range of deep images, which their cached pixels depend on; None: there are none.
        sums: SHA-256 of each file, hexadecimal; empty: unknown.
    """

    fingerprint: str
    paths: tuple[str, ...]
    pixel_range: tuple[float, float] | None = None
    sums: tuple[str, ...] = ()

    @property
    def sums_by_path(self) -> dict[str, str]:
        """Path → SHA-256 of the file, hexadecimal, where it is known."""
        return dict(zip(self.paths, self.sums, strict=False))


@dataclass(frozen=True)
class Resizing:
    """Resize method and size of a member.

    Attributes:
        size: Target (height, width) in px.
        method: `squish`, `crop` or `pad`.
    """

    size: Size
    method: str

    def __str__(self) -> str:
        """Return a name such as `squish 480×480`."""
        return f"{self.method} {self.size[0]}×{self.size[1]}"

    def image_bytes(self, before: Size) -> int:
        """Return the size of an image of a given (height, width) after the first step, in bytes."""
        left, top, right, bottom = visible_part(before, self.size, self.method)
        height, width = scaled_size((bottom - top, right - left), self.size, self.method)
        return 3 * height * width


@dataclass(frozen=True)
class Progress:
    """Build progress of an entry.

    Attributes:
        resizing: Name of the resize method and size.
        done: Number of cached images.
        total: Number of all images.
    """

    resizing: str
    done: int
    total: int


@dataclass(frozen=True)
class ImageCache:
    """Folder of entries with a limit on their total size.

    Attributes:
        folder: Folder of the entries, created with the first entry.
        limit: Limit in bytes; None: half of this machine's memory, since more would not stay in the page
            cache.
    """

    folder: Path
    limit: int | None = None

    @property
    def allowed(self) -> int:
        """Limit of the total size of all entries, in bytes."""
        return _memory() // 2 if self.limit is None else self.limit

    def check(self, images: ImageSet, resizing: Resizing) -> None:
        """Check in advance whether an entry would fit if it were the only one.

        Raises:
            CacheRefusedError: The entry exceeds the limit or the free disk space.
        """
        needed = estimate_bytes(images, resizing)
        room = shutil.disk_usage(_existing(self.folder)).free - SPARE + sum(self._sizes().values())
        what = f"{len(images.paths)} images, {resizing}, take {_bytes(needed)}"
        if needed > self.allowed:
            limit = "half of the memory" if self.limit is None else "the limit"
            raise CacheRefusedError(f"{what}, and {limit} is {_bytes(self.allowed)}")
        if needed > room:
            raise CacheRefusedError(f"{what}, and {self.folder} has room for {_bytes(max(0, room))}")

    def open(
        self,
        images: ImageSet,
        resizing: Resizing,
        load: Callable[[str], Pixels],
        *,
        versions: Sequence[str] = (),
        threads: int = 1,
    ) -> CachedImages:
        """Build the missing parts of an entry, and map it into memory.

        Args:
            images: Images of the dataset.
            resizing: Resize method and size.
            load: Function that decodes a file and applies the first step of that method.
            versions: Versions of everything else that the pixels depend on.
            threads: Number of images to decode at once.

        Returns:
            The images; the entry is kept until they are closed.

        Raises:
            CacheRefusedError: There is no space, or the folder is unusable.
        """
        self.check(images, resizing)
        entry = self.folder / _entry_name(images, resizing, versions)
        length = shard_length(resizing.size)
        try:
            pin = self._reserve(entry, images, resizing, length)
            cached = CachedImages(entry, images.paths, load, length=length, pin=pin, require=self.require)
            cached.build(threads)
        except CacheRefusedError:
            raise
        except (OSError, NotImplementedError, TunePaddyError) as error:  # Timeout is an OSError
            raise CacheRefusedError(f"{self.folder} cannot be used: {error}") from error
        return cached

    def require(self, needed: int) -> None:
        """Check that there is space for `needed` more bytes.

        Raises:
            CacheRefusedError: There is not enough space.
        """
        used, free = sum(self._sizes().values()), shutil.disk_usage(self.folder).free
        if used + needed > self.allowed:
            raise CacheRefusedError(f"{_bytes(used)} are in use, of {_bytes(self.allowed)}")
        if needed + SPARE > free:
            raise CacheRefusedError(f"{self.folder} has only {_bytes(free)} free")

    def progress(self, fingerprint: str, clock: Callable[[], float] = time.time) -> list[Progress]:
        """Return the progress of a dataset's entries that are being built.

        Args:
            fingerprint: Fingerprint of the dataset.
            clock: Time in seconds since 1970, as that of the files; it may have been set back since.
        """
        found = []
        for entry in self._sizes():
            shards = list(entry.glob(f"*{SUFFIX}"))
            newest = max(map(_mtime, [entry / _ABOUT, *shards]))
            if entry.name.startswith(fingerprint) and abs(clock() - newest) < _FRESH:
                with suppress(OSError, ValueError, KeyError):
                    about = json.loads((entry / _ABOUT).read_text("utf-8"))
                    done = min(len(shards) * about["length"], about["total"])
                    found.append(Progress(about["resizing"], done, about["total"]))
        return [progress for progress in found if progress.done < progress.total]

    def _reserve(self, entry: Path, images: ImageSet, resizing: Resizing, length: int) -> FileLock:
        """Make space for an entry, and return a held lock that protects it from removal."""
        make_private_folder(self.folder)
        with FileLock(self.folder / ".lock", timeout=PATIENCE):
            if not (entry / _ABOUT).exists():
                self._make_room(estimate_bytes(images, resizing))
                about = {"resizing": str(resizing), "total": len(images.paths), "length": length}
                write_atomically(entry / _ABOUT, json.dumps(about).encode())
            (entry / _ABOUT).touch()
            (entry / _USERS).mkdir(exist_ok=True)
            name = f"{os.getpid()}-{secrets.token_hex(4)}"
            pin: FileLock = FileLock(entry / _USERS / name, thread_local=False)
            pin.acquire(timeout=0)
        return pin

    def _make_room(self, needed: int) -> None:
        """Remove the least recently used entries that are not in use, until there is space."""
        for entry in sorted(self._sizes(), key=lambda entry: _mtime(entry / _ABOUT)):
            try:
                self.require(needed)
            except CacheRefusedError:
                if not _in_use(entry):
                    _remove(entry)
        self.require(needed)

    def _sizes(self) -> dict[Path, int]:
        """Return the entries and their sizes on disk, in bytes."""
        with suppress(OSError):
            folders = [path for path in self.folder.iterdir() if path.is_dir()]
            return {path: sum(map(_size, path.glob(f"*{SUFFIX}"))) for path in folders}
        return {}


def machine_cache(limit: float | None) -> ImageCache | None:
    """Return the cache of this machine, or None if it is disabled.

    Args:
        limit: Limit in GB; None: half of the memory; 0: disabled.
    """
    if limit == 0:
        return None
    return ImageCache(cache_folder("images"), None if limit is None else round(limit * GB))


def estimate_bytes(images: ImageSet, resizing: Resizing) -> int:
    """Estimate the size of an entry, in bytes: exact for `squish`, else from the shapes of some images."""
    step = max(1, len(images.paths) // _SAMPLED)
    sampled = images.paths[::step] if resizing.method != "squish" else ()
    shapes = [shape for path in sampled if (shape := _shape(path)) is not None] or [resizing.size]
    mean = sum(map(resizing.image_bytes, shapes)) / len(shapes)
    return round(len(images.paths) * mean)


def _shape(path: str) -> Size | None:
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception:  # Pillow raises nearly anything on damaged files
        return None


def _entry_name(images: ImageSet, resizing: Resizing, versions: Sequence[str]) -> str:
    scaled = [] if images.pixel_range is None else [images.pixel_range]
    depends = json.dumps([FORMAT, asdict(resizing), *versions, *scaled], sort_keys=True)
    readable = str(resizing).replace(" ", "-").replace("×", "x")
    return f"{images.fingerprint}-{readable}-{hashlib.sha256(depends.encode()).hexdigest()[:8]}"


def _in_use(entry: Path) -> bool:
    """Return whether a running process has pinned an entry; remove the pins of ended processes."""
    for path in (entry / _USERS).glob("*"):
        try:
            with FileLock(path, timeout=0):
                path.unlink(missing_ok=True)
        except Timeout:
            return True
    return False


def _remove(entry: Path) -> None:
    """Remove an entry atomically by a rename, then delete its files."""
    doomed = entry.with_name(f".{secrets.token_hex(4)}")
    entry.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _bytes(n: int) -> str:
    return f"{n / GB:.1f} GB" if n >= GB // 10 else f"{n / 10**6:.1f} MB"


def _memory() -> int:
    """Return the memory limit of the machine or its container, in bytes."""
    total = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):  # not Linux, or "max"
        return min(total, int(_CONTAINER.read_text("ascii")))
    return total


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
