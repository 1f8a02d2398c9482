"""Measured forward passes on disk: one small JSON file each, so that no network is measured twice.

Nothing here imports torch: a plan whose members were all measured before starts at once.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tune_paddy.data.system.files import make_private_folder

FORMAT = 3
"""Raised whenever the same network would be measured differently: what was written before is passed over."""


@dataclass(frozen=True)
class Subject:
    """What is measured: a network with its head, and how it runs.

    Attributes:
        arch: timm name.
        size: (height, width) of its images in px.
        n_classes: Width of its last layer.
        precision: `fp32`, `fp16` or `bf16`.
        channels_last: Whether its weights and images lie in memory with the channels last; None: the weights
            as a member's, see `tune_paddy.training.networks.model.lay_out`.
        unfused: Whether attention is computed by parts, as before fused kernels.
    """

    arch: str
    size: tuple[int, int]
    n_classes: int
    precision: str
    channels_last: bool | None = None
    unfused: bool = False


@dataclass(frozen=True)
class ForwardMemory:
    """What a network keeps, as lines over the number of images; bytes.

    Attributes:
        parameters: Number of values that train.
        weight_bytes: Parameters and buffers.
        saved: (fixed, per image) kept for the backward pass.
        predicting: (fixed, per image) alive at the peak of a forward pass without gradients.
        batch_norm: Whether the body, the head left out, holds batch norms.
    """

    parameters: int
    weight_bytes: int
    saved: tuple[int, int]
    predicting: tuple[int, int]
    batch_norm: bool = False


_ADAPTER = TypeAdapter(ForwardMemory)


class ForwardCache:
    """A folder of measured forward passes.

    An entry that cannot be read, or that is of something else, counts as missing; a folder that cannot be
    written is left alone. Several processes may share it.

    Args:
        folder: Made when the first entry is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, subject: Subject) -> ForwardMemory | None:
        """Return what was measured of `subject` with the installed torch and timm, or None."""
        key = _key(subject)
        try:
            entry = json.loads(self._path(key).read_text("utf-8"))
            return _ADAPTER.validate_python(entry["value"]) if entry["key"] == key else None
        except (OSError, ValueError, TypeError, KeyError, ValidationError):
            return None

    def put(self, subject: Subject, memory: ForwardMemory) -> None:
        """Write an entry as a whole: readers see the old one or the new one."""
        key = _key(subject)
        text = json.dumps({"key": key, "value": asdict(memory)}, indent=1)
        with suppress(OSError):
            make_private_folder(self._folder)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False, encoding="utf-8") as file:
                file.write(text)
            Path(file.name).replace(self._path(key))

    def _path(self, key: Mapping[str, Any]) -> Path:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self._folder / f"{digest[:32]}.json"


def _key(subject: Subject) -> dict[str, Any]:
    versions = {name: version(name) for name in ("torch", "timm", "fastai")}
    return {**asdict(subject), "size": list(subject.size), **versions, "format": FORMAT}
