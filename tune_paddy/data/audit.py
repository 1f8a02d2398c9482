"""The check of all images: each is decoded once, in parallel, and leaves behind what tells copies apart."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from numpy.typing import NDArray

from tune_paddy.data.duplicates import SIDE
from tune_paddy.data.images import ImageError, load_rgb, load_thumbnail
from tune_paddy.data.system.cpus import usable_cpus
from tune_paddy.data.system.text import listed, shown

_FEW = 5
"""Findings of one kind that a report names before it only counts."""

_NAMES = 3
"""Images of one group that a report names before it only counts."""


@dataclass(frozen=True)
class ImageFacts:
    """What the check keeps of an image.

    Attributes:
        sha256: Of the file's bytes, hex.
        phash: Perceptual hash of 64 bits (imagehash's `phash`: signs of low frequencies).
        thumbnail: uint8 [SIDE, SIDE, 3].
    """

    sha256: str
    phash: int
    thumbnail: NDArray[np.uint8]


@dataclass(frozen=True)
class AuditReport:
    """What the check of a dataset found, beyond what it refuses.

    Attributes:
        notes: Files that were passed over, in words.
        corrupt: Images left out since they cannot be decoded, with the reason.
        conflicts: Ids of labelled images left out since the same image has another label.
        groups: Ids of labelled images that are copies of each other, two or more in each group.
        mixed: Those of the groups whose images, alike but not the same, have different labels.
        test_copies: (test id, labelled id) of test images that are copies of labelled ones.
    """

    notes: tuple[str, ...] = ()
    corrupt: tuple[ImageError, ...] = ()
    conflicts: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    mixed: tuple[tuple[str, ...], ...] = ()
    test_copies: tuple[tuple[str, str], ...] = ()

    def lines(self) -> list[str]:
        """What a person should know, a line or a short list for each kind of finding."""
        alike = sum(map(len, self.groups))
        pairs = [f"{shown(test)} = {shown(copy)}" for test, copy in self.test_copies]
        return [
            *self.notes,
            *_section("images left out, which cannot be decoded", [str(error) for error in self.corrupt]),
            *_section("images left out, whose copies have other labels", [shown(i) for i in self.conflicts]),
            *_section(f"groups of copies, {alike} images, each kept on one side", _equations(self.groups)),
            *_section("of these groups have several labels, look at them", _equations(self.mixed)),
            *_section("test images are copies of labelled ones, or nearly", pairs),
        ]


def _section(text: str, findings: Sequence[str]) -> list[str]:
    if not findings:
        return []
    return [f"{len(findings)} {text}:{listed(findings, len(findings), limit=_FEW)}"]


def _equations(groups: Sequence[Sequence[str]]) -> list[str]:
    return [_equation(ids) for ids in groups]


def _equation(ids: Sequence[str]) -> str:
    rest = f" and {len(ids) - _NAMES} more" if len(ids) > _NAMES else ""
    return " = ".join(map(shown, ids[:_NAMES])) + rest


def inspect_images(paths: Sequence[str], *, jobs: int | None = None) -> list[ImageFacts | ImageError]:
    """Decode every image completely, several at once: Pillow decodes without Python's lock.

    Args:
        paths: Image files.
        jobs: Threads; None: one for each CPU that this process may use.

    Returns:
        [paths], facts of each image, or the error of one that cannot be decoded.
    """
    with ThreadPoolExecutor(jobs or usable_cpus(), thread_name_prefix="inspect") as pool:
        return list(pool.map(_inspect, paths))


def hash_pixels(paths: Sequence[str], *, jobs: int | None = None) -> list[str]:
    """Hash the pixels of images as training sees them: equal for the same image in other bytes.

    Raises:
        ImageError: An image cannot be decoded.
    """
    with ThreadPoolExecutor(jobs or usable_cpus(), thread_name_prefix="pixels") as pool:
        return list(pool.map(_hash_pixels, paths))


def _inspect(path: str) -> ImageFacts | ImageError:
    try:
        thumbnail = load_thumbnail(path, SIDE)
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except ImageError as error:
        return error
    except OSError as error:
        return ImageError(path, f"cannot be read: {error.strerror}")
    bits = np.packbits(imagehash.phash(thumbnail).hash)
    return ImageFacts(digest, int.from_bytes(bits.tobytes()), np.asarray(thumbnail))


def _hash_pixels(path: str) -> str:
    image = load_rgb(path)
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
