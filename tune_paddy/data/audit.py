"""Audit of all images: decode each once, in parallel, and keep the features that identify copies."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tune_paddy.data.channels import Unused
from tune_paddy.data.duplicates import SIDE
from tune_paddy.data.images import ImageError, find_unused, hash_content, load_thumbnail
from tune_paddy.data.pixel_range import PixelRange, ValueFacts, own_range, scale
from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.data.system.text import counted, listed, shown

_FEW = 5
"""Number of findings of one kind that a report lists; it counts the rest."""

_NAMES = 3
"""Number of images of one group that a report lists; it counts the rest."""


@dataclass(frozen=True)
class ImageFacts:
    """Features of a decoded image.

    Attributes:
        sha256: SHA-256 of the file, hexadecimal.
        phash: Perceptual hash of 64 bits (imagehash's `phash`: signs of low frequencies).
        thumbnail: Small copy, uint8 [SIDE, SIDE, 3].
        deep: Values of a deep image; None for 8 bits.
        unused: Parts of the file that are not used.
    """

    sha256: str
    phash: int
    thumbnail: NDArray[np.uint8]
    deep: ValueFacts | None = None
    unused: Unused = field(default_factory=Unused)


@dataclass(frozen=True)
class AuditReport:
    """Findings of the audit that do not make a dataset invalid.

    Attributes:
        notes: Messages about ignored files.
        corrupt: Errors of skipped images that cannot be decoded.
        conflicts: Ids of labelled images skipped because the same image has another label.
        groups: Ids of labelled images that are copies of each other, at least two per group.
        mixed: Groups whose images are similar, but not identical, and have different labels.
        test_copies: (test id, labelled id) of test images that are copies of labelled images.
    """

    notes: tuple[str, ...] = ()
    corrupt: tuple[ImageError, ...] = ()
    conflicts: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    mixed: tuple[tuple[str, ...], ...] = ()
    test_copies: tuple[tuple[str, str], ...] = ()

    def lines(self) -> list[str]:
        """Return the report for a person, one line or short list per kind of finding."""
        alike = sum(map(len, self.groups))
        pairs = [f"{shown(test)} = {shown(copy)}" for test, copy in self.test_copies]
        return [
            *self.notes,
            *_section("image", "skipped, cannot be decoded", [str(error) for error in self.corrupt]),
            *_section("image", "skipped, copies have other labels", [shown(i) for i in self.conflicts]),
            *_section("group", f"of copies, {alike} images, each kept on one side", _equations(self.groups)),
            *_section("group", "of these with several labels, check them", _equations(self.mixed)),
            *_section("test image", "with copies or near-copies among the labelled images", pairs),
        ]


def _section(noun: str, text: str, findings: Sequence[str]) -> list[str]:
    if not findings:
        return []
    return [f"{counted(len(findings), noun)} {text}:{listed(findings, len(findings), limit=_FEW)}"]


def _equations(groups: Sequence[Sequence[str]]) -> list[str]:
    return [_equation(ids) for ids in groups]


def _equation(ids: Sequence[str]) -> str:
    rest = f" and {len(ids) - _NAMES} more" if len(ids) > _NAMES else ""
    return " = ".join(map(shown, ids[:_NAMES])) + rest


def inspect_images(paths: Sequence[str], *, jobs: int | None = None) -> list[ImageFacts | ImageError]:
    """Decode every image completely, in threads: Pillow releases the GIL while it decodes.

    Args:
        paths: Paths of the image files.
        jobs: Number of threads; None: one per CPU that this process may use.

    Returns:
        [paths], features of each image, or the error if it cannot be decoded.
    """
    with ThreadPoolExecutor(jobs or usable_cpus(), thread_name_prefix="inspect") as pool:
        return list(pool.map(_inspect, paths))


def hash_pixels(paths: Sequence[str], *, jobs: int | None = None) -> list[str]:
    """Hash the decoded values of images, see `hash_content`.

    Raises:
        ImageError: An image cannot be decoded.
    """
    with ThreadPoolExecutor(jobs or usable_cpus(), thread_name_prefix="pixels") as pool:
        return list(pool.map(hash_content, paths))


def _inspect(path: str) -> ImageFacts | ImageError:
    try:
        thumbnail = load_thumbnail(path, SIDE)
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except ImageError as error:
        return error
    except OSError as error:
        return ImageError(path, f"cannot be read: {error.strerror}")
    unused = find_unused(path)
    if isinstance(thumbnail, ValueFacts):
        return ImageFacts(digest, 0, np.empty(0, np.uint8), thumbnail, unused)
    return ImageFacts(digest, _phash(thumbnail), np.asarray(thumbnail), unused=unused)


def with_range(facts: Sequence[ImageFacts], pixel_range: PixelRange | None) -> list[ImageFacts]:
    """Complete the features of deep images, whose thumbnails depend on the range of their dataset.

    Args:
        facts: Features of `inspect_images`.
        pixel_range: Range of deep images; None: each has its own.
    """
    return [fact if fact.deep is None else _scaled(fact, fact.deep, pixel_range) for fact in facts]


def _scaled(fact: ImageFacts, values: ValueFacts, pixel_range: PixelRange | None) -> ImageFacts:
    small = values.thumbnail.astype(np.float64)
    grey = scale(small, pixel_range or own_range(small, integers=values.integers))
    thumbnail = Image.fromarray(grey).convert("RGB")
    return replace(fact, phash=_phash(thumbnail), thumbnail=np.asarray(thumbnail))


def _phash(thumbnail: Image.Image) -> int:
    return int.from_bytes(np.packbits(imagehash.phash(thumbnail).hash).tobytes())
