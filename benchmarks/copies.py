"""Which images count as copies: planted copies found, and distinct photos kept apart.

    python benchmarks/copies.py FOLDER [FOLDER ...] [--images 1500] [--seed 0]

Each folder is a set of ordinary pictures. A tenth of its images gets a copy of each kind. Recall is the share
of planted copies in the group of their original; before it come the images, without planted copies, that
share a group, and the largest group. Then come generated sets of a fixed camera, whose photos differ by noise
and a scratch only: as they are, moved by a pixel or two, under light from changing sides, by four cameras;
with two copies each of a tenth of the photos. `before` is the comparison of thumbnails alone, `after` that of
`Dataset.open(copies="near")`.
"""

import argparse
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from tune_paddy.data.alike import split_alike
from tune_paddy.data.audit import ImageFacts, inspect_images
from tune_paddy.data.duplicates import group_copies
from tune_paddy.data.images import SUFFIXES, ImageError, load_rgb

Copy = Callable[[Image.Image], Image.Image]


def reencoded(quality: int) -> Copy:
    def copy(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return copy


def cropped(image: Image.Image) -> Image.Image:
    """Cut one percent off each side."""
    x, y = max(1, image.width // 100), max(1, image.height // 100)
    return image.crop((x, y, image.width - x, image.height - y))


COPIES: dict[str, Copy] = {
    "JPEG 75": reencoded(75),
    "JPEG 30": reencoded(30),
    "half size": lambda image: image.resize((max(1, image.width // 2), max(1, image.height // 2))),
    "brightness 0.8": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "brightness 1.1": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "cropped 1 %": cropped,
}


def photos(kind: str, count: int = 80, side: int = 160) -> Iterator[Image.Image]:
    """Generate photos of a fixed camera; the second half has a scratch."""
    for number in range(count):
        rng = np.random.default_rng(number)
        board = _board(number % 4 if kind == "four cameras" else 0, side)
        if kind == "moved":
            board = np.roll(board, tuple(rng.integers(-2, 3, 2)), (0, 1))
        if kind == "changing light":
            y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
            board = board * (1 + 0.15 * (rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y))
        if number >= count // 2:
            y, x = rng.integers(20, side - 40, 2)
            board[y : y + 3, x : x + 14] = 250
        noisy = board + rng.normal(0, 6, board.shape)
        yield Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).convert("RGB")


def _board(camera: int, side: int) -> NDArray[np.float64]:
    fixed = np.random.default_rng([7, camera])
    board = np.full((side, side), 60.0)
    for _ in range(40):
        y, x = fixed.integers(0, side - 30, 2)
        height, width = fixed.integers(6, 30, 2)
        board[y : y + height, x : x + width] = fixed.integers(30, 230)
    return board


def groups_of(paths: list[str], classes: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    facts = [fact for fact in inspect_images(paths) if isinstance(fact, ImageFacts)]
    thumbnails = np.stack([fact.thumbnail for fact in facts])
    before = group_copies(np.array([fact.phash for fact in facts], np.uint64), thumbnails)
    return {"before": before, "after": split_alike(before, thumbnails, classes)[0]}


def report(name: str, groups: NDArray[np.int64], original: NDArray[np.int64], kinds: list[str]) -> None:
    """Print recall by kind, images in groups without planted copies, and the largest group."""
    planted = np.flatnonzero(original >= 0)
    found = groups[planted] == groups[original[planted]]
    recalls = {
        kind: found[[kinds[row] == kind for row in planted]].mean() for kind in dict.fromkeys(kinds) if kind
    }
    own = groups[original < 0]  # of two of these in one group, none is a planted copy of the other
    sizes = np.bincount(own)
    told = "  ".join(f"{kind} {recall:.0%}" for kind, recall in recalls.items())
    print(f"  {name:24} {int(sizes[sizes > 1].sum()):6,} grouped  largest {sizes.max():5,}  recall: {told}")


def measure(title: str, images: list[Image.Image], classes: list[int], copies: dict[str, Copy]) -> None:
    """Write images with planted copies of every tenth, group them, and print both results."""
    pictures, kinds, original, labels = list(images), [""] * len(images), [-1] * len(images), list(classes)
    for row in range(0, len(images), 10):
        for kind, copy in copies.items():
            pictures.append(copy(images[row]))
            kinds.append(kind)
            original.append(row)
            labels.append(classes[row])
    with TemporaryDirectory() as folder:
        paths = [str(Path(folder, f"{number}.png")) for number in range(len(pictures))]
        for path, picture in zip(paths, pictures, strict=True):
            picture.save(path, compress_level=1)
        found = groups_of(paths, np.array(labels))
    print(f"{title}: {len(images):,} images, {len(pictures) - len(images)} copies")
    for name, groups in found.items():
        report(name, groups, np.array(original), kinds)


def opened(path: Path) -> Image.Image | None:
    """Return an image of at most 512 px, or None if it cannot be read or is a thin line."""
    try:
        image = load_rgb(path)
    except ImageError:
        return None
    image.thumbnail((512, 512))
    return image if min(image.size) >= 16 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for folder in options.folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        rows = np.random.default_rng(options.seed).permutation(len(files))[: options.images]
        chosen = [files[row] for row in rows]
        pairs = [(path.parent, image) for path in chosen if (image := opened(path)) is not None]
        names = sorted({parent for parent, _ in pairs})
        images = [image for _, image in pairs]
        measure(folder.name, images, [names.index(parent) for parent, _ in pairs], COPIES)
    few = {kind: COPIES[kind] for kind in ("JPEG 75", "brightness 1.1")}
    for kind in ("as it is", "moved", "changing light", "four cameras"):
        measure(f"fixed camera, {kind}", list(photos(kind)), [0] * 40 + [1] * 40, few)


if __name__ == "__main__":
    main()
