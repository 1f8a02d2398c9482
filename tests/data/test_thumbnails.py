import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from tune_paddy.data.thumbnails import SIDE, thumbnail_uri


def test_a_thumbnail_is_a_small_jpeg_of_the_same_shape_as_a_data_uri(tmp_path: Path) -> None:
    """Noise is the worst case for compression."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    uri = thumbnail_uri(tmp_path / "noise.png")
    assert uri
    head, _, content = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    assert len(uri) < 40_000
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert (image.format, image.size) == ("JPEG", (SIDE, SIDE * 480 // 640))


def test_a_file_that_is_not_an_image_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    assert thumbnail_uri(tmp_path / "broken.jpg") is None
    assert thumbnail_uri(tmp_path / "none.jpg") is None
