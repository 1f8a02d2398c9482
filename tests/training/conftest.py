"""Real images and a member, both small enough to train in about a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.member_data import Part, Parts
from tune_paddy.training.batches.loaders import ImageReader

SIDE = 32
N_TRAIN, N_SELECT, N_TEST = 100, 30, 21


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Paths of scikit-learn's first handwritten digits as PNG files of 32x32 px, and their labels."""
    folder = tmp_path_factory.mktemp("digits")
    images, labels = load_digits(return_X_y=True)
    paths = []
    for number, image in enumerate(images[: N_TRAIN + N_SELECT + N_TEST]):
        path = folder / f"{number:04d}.png"
        grey = Image.fromarray((image.reshape(8, 8) / 16 * 255).astype(np.uint8))
        grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)
        paths.append(str(path))
    return tuple(paths), labels[: len(paths)].astype(np.int64)


@pytest.fixture(scope="session")
def parts(digits: tuple[tuple[str, ...], NDArray[np.int64]]) -> Parts:
    """100 images to train on, 30 to select with and 21 to predict, of ten classes."""
    paths, labels = digits

    def part(start: int, stop: int, *, labelled: bool) -> Part:
        ids = np.array([Path(path).stem for path in paths[start:stop]])
        return Part(ids, paths[start:stop], labels[start:stop] if labelled else labels[:0])

    first, second = N_TRAIN, N_TRAIN + N_SELECT
    return Parts(
        classes=tuple("0123456789"),
        split="a split",
        train=part(0, first, labelled=True),
        select=part(first, second, labelled=True),
        test=part(second, len(paths), labelled=False),
    )


@pytest.fixture(scope="session")
def make_config() -> Callable[..., MemberConfig]:
    """Return a function that configures timm's tiny vision transformer on digits, with any changes."""

    def make(**changes: object) -> MemberConfig:
        base = {
            "arch": "test_vit",
            "pretrained": False,
            "size": SIDE,
            "batch_size": 32,
            "epochs": 2,
            "lr": 2e-3,
            "flip": "none",
            "tta": 2,
        }
        return MemberConfig(**{**base, **changes})

    return make


@pytest.fixture(scope="session")
def reader(parts: Parts) -> ImageReader:
    """Reader of the training images with one thread."""
    return ImageReader(parts.train.paths, (SIDE, SIDE), "squish", 1)
