"""Embed images: pooled features of a frozen body in each symmetry, from the cache or a forward pass."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tune_paddy.core.config import MemberConfig
from tune_paddy.core.errors import DivergedError
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.training.batches.augment import centre, normalize, shrink
from tune_paddy.training.batches.decoding import VERSIONS
from tune_paddy.training.batches.loaders import ImageReader
from tune_paddy.training.devices import Device, send
from tune_paddy.training.frozen.store import Digests, EmbeddingCache, Entry, digests_of
from tune_paddy.training.networks.heads import LinearHead
from tune_paddy.training.networks.model import Body
from tune_paddy.training.objective import objective_of
from tune_paddy.training.views import flipped

SEGMENT = 512
"""Approximate number of images between two writes to the cache, rounded up to whole batches."""

Features = NDArray[np.float32]


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

    def embed(self, paths: Sequence[str]) -> Features:
        """Return features of images in all symmetries, float32 [symmetries, images, features].

        Features that the cache lacks are computed, and stored as they come: an interrupted member continues
        where it was.

        Raises:
            DivergedError: Features are not finite.
            ImageError: A file cannot be read as an image.
        """
        return np.stack(list(self._embed_all(paths, range(self.config.symmetries))))

    def predict(self, paths: Sequence[str], task: Task) -> NDArray[np.float32]:
        """Return probabilities of images as they are, float32 [images, classes], from features as `embed`.

        Raises:
            DivergedError: Features are not finite.
            ImageError: A file cannot be read as an image.
        """
        (features,) = self._embed_all(paths, [0])
        with torch.inference_mode():
            logits = self.model[1](torch.from_numpy(features).to(self.device.torch))
            probs: NDArray[np.float32] = objective_of(task).probabilities(logits).cpu().numpy()
        return probs

    def _embed_all(self, paths: Sequence[str], symmetries: Iterable[int]) -> Iterator[Features]:
        digests = digests_of(paths, self.sums)
        key = {} if self.cache is None else self._key()
        return (self._embed(paths, digests, {**key, "symmetry": it}) for it in symmetries)

    def _embed(self, paths: Sequence[str], digests: Digests, key: Mapping[str, Any]) -> Features:
        names = [row.tobytes() for row in digests]
        first = {name: row for row, name in reversed(list(enumerate(names)))}  # equal files are embedded once
        with self._opened(key) as entry:
            known = entry.read(digests) if entry else {}
            missing = sorted(row for name, row in first.items() if name not in known)
            for rows, values in self._segments(paths, missing, key["symmetry"]):
                if entry:
                    entry.write(digests[rows], values)
                known |= {names[row]: value for row, value in zip(rows, values, strict=True)}
        return np.stack([known[name] for name in names])

    def _opened(self, key: Mapping[str, Any]) -> AbstractContextManager[Entry | None]:
        return nullcontext() if self.cache is None else self.cache.opened(key, self.alive)

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
        self, paths: Sequence[str], rows: Sequence[int], symmetry: int
    ) -> Iterator[tuple[list[int], Features]]:
        """Yield rows and their features, some hundred images at a time."""
        per_segment = self.batch_size * -(-SEGMENT // self.batch_size)
        for start in range(0, len(rows), per_segment):
            part = list(rows[start : start + per_segment])
            yield part, self.compute([paths[row] for row in part], symmetry)

    def compute(self, paths: Sequence[str], symmetry: int = 0) -> Features:
        """Return the features of images in one symmetry, float32 [images, features], without the cache.

        Raises:
            DivergedError: Features are not finite.
            ImageError: A file cannot be read as an image.
        """
        self.model.eval()
        body, head = cast("Body", self.model[0]), cast("LinearHead", self.model[1])
        parts: list[Tensor] = []
        with torch.inference_mode():
            for _, images in self.read(list(paths)).in_order(self.batch_size):
                self.alive()
                small = centre(shrink(send(images, self.device.torch), self.config.size), self.config.size)
                with self.device.autocast():
                    parts.append(head.pool(body(normalize(flipped(small, symmetry), *self.stats))))
        features: Features = torch.cat(parts).cpu().numpy()
        if not np.isfinite(features).all():
            raise DivergedError(f"{self.config.arch} has features that are not finite numbers")
        return features


def weights_digest(body: nn.Module) -> str:
    """Return a hash of all parameters and buffers, hexadecimal; independent of device and memory layout."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in body.state_dict().items():
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
