"""Frozen members of a tiny network whose weights are in a file, so that all seeds share them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from tune_paddy.core.config import MemberConfig
from tune_paddy.training.frozen.embedding import Embedder

ARCH = "test_efficientnet"


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / f"{ARCH}.safetensors"
    save_file(timm.create_model(ARCH).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def frozen(make_config: Callable[..., MemberConfig], weights: Path) -> Callable[..., MemberConfig]:
    """Return a function that configures a frozen member, with any changes."""

    def make(**changes: object) -> MemberConfig:
        base = {
            "arch": ARCH,
            "pretrained": str(weights),
            "schedule": "frozen",
            "flip": "horizontal",
            "tta": 1,
        }
        return make_config(**{**base, **changes})

    return make


@dataclass
class Passes:
    """Records the images that bodies embed.

    Attributes:
        images: Image and symmetry of each forward pass, in order.
        fail: Called before each segment with its number of images; it may raise.
    """

    images: list[tuple[str, int]] = field(default_factory=list)
    fail: Callable[[int], None] = lambda images: None


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Passes:
    """Record what is embedded from here on."""
    seen, compute = Passes(), Embedder.compute

    def watched(embedder: Embedder, paths: list[str], symmetries: Sequence[int]) -> NDArray[np.float32]:
        seen.fail(len(paths))
        seen.images += [(path, symmetry) for symmetry in symmetries for path in paths]
        return compute(embedder, paths, symmetries)

    monkeypatch.setattr(Embedder, "compute", watched)
    return seen
