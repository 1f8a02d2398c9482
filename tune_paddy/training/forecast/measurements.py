"""On-disk cache of measured forward passes, one small JSON file each.

This module does not import torch, so a plan whose members are all cached starts at once.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tune_paddy.core.errors import TunePaddyError
from tune_paddy.data.system.files import make_private_folder, write_atomically

FORMAT = 4
"""Version of the measurement, increased whenever its result changes; other versions' entries are ignored."""


@dataclass(frozen=True)
class Subject:
    """The subject of a measurement: a network with its head, and its settings.

    Attributes:
        arch: timm model name.
        size: (height, width) of the images in px.
        n_classes: Width of the last layer.
        precision: `fp32`, `fp16` or `bf16`.
        channels_last: Whether parameters and images are in channels-last layout; None: parameters as in a
            member, see `tune_paddy.training.networks.model.lay_out`.
        unfused: Whether attention runs without fused kernels.
        head: Head of the network, as `head` of a member.
        frozen: Whether the head is that of a frozen member.
        large_view: Multiple of `size` at which the network is measured, see `plan_body`; 1: at `size` itself.
    """

    arch: str
    size: tuple[int, int]
    n_classes: int
    precision: str
    channels_last: bool | None = None
    unfused: bool = False
    head: str = "concat_pool"
    frozen: bool = False
    large_view: float = 1.0


@dataclass(frozen=True)
class ForwardMemory:
    """A network's memory in bytes, linear in the number of images.

    Attributes:
        parameters: Number of trainable parameters.
        weight_bytes: Bytes of parameters and buffers.
        saved: (fixed, per image) bytes saved for the backward pass.
        predicting: (fixed, per image) bytes alive at the peak of a forward pass without gradients.
        batch_norm: Whether the body, without the head, contains batch norms.
        pixels: Number of pixels of a measured image.
    """

    parameters: int
    weight_bytes: int
    saved: tuple[int, int]
    predicting: tuple[int, int]
    batch_norm: bool = False
    pixels: int = 0


_ADAPTER = TypeAdapter(ForwardMemory)


class ForwardCache:
    """A folder of measured forward passes, which several processes may share.

    An unreadable or mismatched entry counts as missing. Failures to write are ignored.

    Args:
        folder: Folder of the cache, created with the first entry.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, subject: Subject) -> ForwardMemory | None:
        """Return the measurement of `subject` with the installed torch, timm and fastai, or None."""
        key = _key(subject)
        try:
            entry = json.loads(self._path(key).read_text("utf-8"))
            return _ADAPTER.validate_python(entry["value"]) if entry["key"] == key else None
        except (OSError, ValueError, TypeError, KeyError, ValidationError):
            return None

    def put(self, subject: Subject, memory: ForwardMemory) -> None:
        """Write an entry atomically."""
        key = _key(subject)
        text = json.dumps({"key": key, "value": asdict(memory)}, indent=1)
        with suppress(OSError, TunePaddyError):
            make_private_folder(self._folder)
            write_atomically(self._path(key), text.encode())

    def _path(self, key: Mapping[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self._folder / f"{digest[:32]}.json"


def _key(subject: Subject) -> dict[str, Any]:
    versions = {name: version(name) for name in ("torch", "timm", "fastai")}
    return {**asdict(subject), "size": list(subject.size), **versions, "format": FORMAT}
