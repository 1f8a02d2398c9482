"""Small distinct images, and datasets of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Photo = Callable[[int], Image.Image]


def make_photo(seed: int, size: tuple[int, int] = (48, 36)) -> Image.Image:
    """A smooth image, (width, height) px, different for every seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def photo() -> Photo:
    return make_photo


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    """Paddy Doctor in miniature: 3 labels with 4 images each, 3 images to predict, all in Kaggle's layout."""
    rows = [("image_id", "label", "variety", "age")]
    for number in range(12):
        label = ("blast", "hispa", "normal")[number % 3]
        rows.append((f"{100330 + number}.jpg", label, "ADT45", str(40 + number)))
        save_photo(tmp_path / "train_images" / label / rows[-1][0], number)
    for number in range(3):
        save_photo(tmp_path / "test_images" / f"20000{number}.jpg", 100 + number)
    (tmp_path / "train.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    (tmp_path / "sample_submission.csv").write_text("image_id,label\n200002.jpg,\n200000.jpg,\n200001.jpg,\n")
    return tmp_path


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two class folders of 3 images each."""
    for number in range(6):
        save_photo(tmp_path / ("cat", "dog")[number % 2] / f"{number}.png", number)
    return tmp_path


def save_photo(path: Path, seed: int) -> Path:
    """Write the image of a seed, in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    make_photo(seed).save(path)
    return path


@pytest.fixture(scope="session")
def save() -> Callable[[Path, int], Path]:
    return save_photo
