"""Typical images of a dataset."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_paddy.search.building.typical import typical_images


@pytest.mark.parametrize(
    ("channels", "mode", "gray"),
    [
        ((1, 1, 1), "RGB", True),
        ((1, 0.5, 0), "RGB", False),
        ((1, 1, 1), "L", True),
        ((1, 1, 1), "I;16", True),
    ],
)
def test_size_and_colour_of_images(
    tmp_path: Path, channels: tuple[float, float, float], mode: str, gray: bool
) -> None:
    """Grey photographs are often stored with three channels."""
    ramp = np.linspace(0, 255, 40 * 60).reshape(40, 60, 1)
    paths = []
    for number in range(3):
        image = Image.fromarray((ramp * channels).astype(np.uint8))
        if mode == "I;16":
            image = Image.fromarray((ramp[..., 0] * 200).astype(np.uint16))
        elif mode != "RGB":
            image = image.convert(mode)
        paths.append(str(tmp_path / f"{number}.png"))
        image.save(paths[-1])
    found = typical_images(paths, labelled=3, test=1, classes=2)
    assert (found.size, found.gray, found.labelled, found.test) == ((40, 60), gray, 3, 1)
