"""Embed images: pooled features of a frozen body in each symmetry, from the cache or a forward pass."""

import hashlib
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import DivergedError
from tune_paddy.core.tasks.task import Task
from tune_paddy.core.views import FLIPS, PLAIN
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.training.batches.augment import centre, normalize, shrink
from tune_paddy.training.batches.decoding import VERSIONS
from tune_paddy.training.batches.loaders import ImageReader
from tune_paddy.training.devices import Device, send
from tune_paddy.training.frozen.store import EmbeddingCache, Entry, digests_of, unchanged
from tune_paddy.training.networks.heads import LinearHead
from tune_paddy.training.networks.model import Body
from tune_paddy.training.objective import objective_of
from tune_paddy.training.views import flipped

_AT_ONCE = 1 << 26
"""Maximum number of features that are held to predict images, 256 MiB."""

SEGMENT = 512
"""Approximate number of images between two writes to the cache, rounded up to whole batches."""

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Embedding:
    """Features of images.

    Attributes:
        features: float32 [symmetries, images, features].
        computed: Number of images whose features were computed in all symmetries, not read from the cache.
    """

    features: Features
    computed: int


@dataclass(frozen=True)
class Embedder:
    """A frozen body on a device, and what its features depend on.

    Attributes:
        model: `Sequential(Body, LinearHead)`, on the device; changed to evaluation mode.
        config: Configuration of the member.
        device: Device and precision.
        stats: Mean and standard deviation of each colour channel (values 0..1).
        batch_size: Images per batch.
        read: Function that returns a reader of image files at the member's item size.
        pixel_range: Range of deep images; None: 8 bits, or each by itself.
        cache: Embedding cache; None: features are computed each time.
        sums: Path → SHA-256 of the file, as far as it is known.
        alive: Callback for every batch.
    """

    model: nn.Sequential
    config: MemberConfig
    device: Device
    stats: tuple[tuple[float, ...], tuple[float, ...]]
    batch_size: int
    read: Callable[[list[str]], ImageReader]
    pixel_range: PixelRange | None = None
    cache: EmbeddingCache | None = None
    sums: Mapping[str, str] = field(default_factory=dict)
    alive: Callable[[], None] = lambda: None

    def embed(self, paths: Sequence[str], symmetries: int | None = None) -> Embedding:
        """Return features of images in their first symmetries; None: in all.

        Features that the cache lacks are computed, and stored as they come: an interrupted member continues
        where it was. Each image is decoded once for all symmetries that it lacks.

        Raises:
            DivergedError: Features are not finite.
            ImageError: A file cannot be read as an image.
        """
        return self._embed(paths, symmetries or self.config.symmetries)

    def views(
        self, paths: Sequence[str], task: Task, kinds: Collection[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Predict the views that need no other features than those of `embed`.

        Args:
            paths: Images.
            task: What the labels are.
            kinds: Views; those besides plain and flips are left out.

        Returns:
            View name → float32 [images, classes], probabilities of the task.

        Raises:
            DivergedError: Features are not finite.
            ImageError: A file cannot be read as an image.
        """
        if not {PLAIN, FLIPS}.intersection(kinds):
            return {}
        symmetries = self.config.symmetries if FLIPS in kinds else 1
        width = cast("LinearHead", self.model[1]).linear.in_features
        at_once = max(1, _AT_ONCE // (symmetries * width))
        parts = [
            self._probabilities(self._embed(paths[start : start + at_once], symmetries).features, task)
            for start in range(0, len(paths), at_once)
        ]
        empty = np.empty((symmetries, 0, cast("LinearHead", self.model[1]).linear.out_features), np.float32)
        probs = np.concatenate([empty, *parts], axis=1)
        found = {PLAIN: probs[0], FLIPS: probs.mean(axis=0)}
        return {kind: found[kind] for kind in kinds if kind in found}

    def _probabilities(self, features: Features, task: Task) -> NDArray[np.float32]:
        """Return the probabilities of images from their features, float32 [symmetries, images, classes]."""
        head, objective = self.model[1].eval(), objective_of(task)
        with torch.inference_mode():
            logits = [head(torch.from_numpy(own).to(self.device.torch)) for own in features]
            return torch.stack([objective.probabilities(own) for own in logits]).cpu().numpy()

    def _embed(self, paths: Sequence[str], n_symmetries: int) -> Embedding:
        digests = digests_of(paths, self.sums)
        names = [row.tobytes() for row in digests]
        with ExitStack() as stack:
            entries = [stack.enter_context(self._opened(symmetry)) for symmetry in range(n_symmetries)]
            known = [entry.read(digests) if entry else {} for entry in entries]
            lacking = _lacking(names, known)
            for symmetries, rows in lacking.items():
                for part, values in self._segments(paths, rows, symmetries):
                    same = [unchanged(paths[row], names[row]) for row in part] if any(entries) else []
                    for symmetry, features in zip(symmetries, values, strict=True):
                        known[symmetry] |= {names[row]: own for row, own in zip(part, features, strict=True)}
                        entry = entries[symmetry]
                        if entry and any(same):
                            entry.write(digests[part][same], features[same])
        new = {names[row] for row in lacking.get(tuple(range(n_symmetries)), ())}
        return Embedding(_together(names, known), sum(name in new for name in names))

    def _opened(self, symmetry: int) -> AbstractContextManager[Entry | None]:
        if self.cache is None:
            return nullcontext()
        return self.cache.opened({**self._key, "symmetry": symmetry}, self.alive)

    @cached_property
    def _key(self) -> dict[str, Any]:
        """Return everything that the features of an image depend on, apart from its symmetry."""
        config = self.config
        return {
            "arch": config.arch,
            "weights": weights_digest(self.model[0]),
            "pooled_by_timm": self.model[0].pools,
            "size": config.size,
            "resize": config.resize,
            "resize_size": config.item_size,
            "precision": f"{self.device.type} {self.device.precision}",
            "stats": self.stats,
            "pixel_range": self.pixel_range,
            "versions": [*VERSIONS, f"timm {version('timm')}"],
        }

    def _segments(
        self, paths: Sequence[str], rows: Sequence[int], symmetries: Sequence[int]
    ) -> Iterator[tuple[list[int], Features]]:
        """Yield rows and their features, some hundred images at a time."""
        per_segment = self.batch_size * -(-SEGMENT // self.batch_size)
        for start in range(0, len(rows), per_segment):
            part = list(rows[start : start + per_segment])
            yield part, self.compute([paths[row] for row in part], symmetries)

    def compute(self, paths: Sequence[str], symmetries: Sequence[int]) -> Features:
        """Return the features of images, float32 [symmetries, images, features], without the cache.

        Raises:
            DivergedError: Features are not finite.
            ImageError: A file cannot be read as an image.
        """
        self.model.eval()
        parts: list[Tensor] = []
        with torch.inference_mode():
            for _, images in self.read(list(paths)).in_order(self.batch_size):
                self.alive()
                small = centre(shrink(send(images, self.device.torch), self.config.size), self.config.size)
                parts.append(torch.stack([self._pooled(flipped(small, code)) for code in symmetries]))
        features: Features = torch.cat(parts, dim=1).cpu().numpy()
        if not np.isfinite(features).all():
            raise DivergedError(f"{self.config.arch} has features that are not finite numbers")
        return features

    def _pooled(self, images: Tensor) -> Tensor:
        """Return the features of floats 0..1 [images, 3, height, width], which it changes."""
        body, head = cast("Body", self.model[0]), cast("LinearHead", self.model[1])
        with self.device.autocast():
            return head.pool(body(normalize(images, *self.stats)))


def _lacking(names: Sequence[bytes], known: Sequence[Container[bytes]]) -> dict[tuple[int, ...], list[int]]:
    """Return the rows of images to embed, by the symmetries that they lack; of equal files the first row."""
    rows: dict[tuple[int, ...], list[int]] = {}
    first = {name: row for row, name in reversed(list(enumerate(names)))}
    for row, name in sorted((row, name) for name, row in first.items()):
        missing = tuple(symmetry for symmetry, found in enumerate(known) if name not in found)
        if missing:
            rows.setdefault(missing, []).append(row)
    return rows


def _together(names: Sequence[bytes], known: Sequence[dict[bytes, Features]]) -> Features:
    """Return the features of all images, [symmetries, images, features]; empties `known` on the way."""
    width = len(known[0][names[0]])
    features = np.empty((len(known), len(names), width), np.float32)
    for own, found in zip(features, known, strict=True):
        for row, name in enumerate(names):
            own[row] = found[name]
        found.clear()
    return features


def weights_digest(body: nn.Module) -> str:
    """Return a hash of all parameters and buffers, hexadecimal; independent of device and memory layout."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in body.state_dict().items():
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
