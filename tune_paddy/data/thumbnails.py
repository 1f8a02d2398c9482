"""Thumbnails of images, embedded in HTML pages."""

import base64
import io
from pathlib import Path

from PIL import Image

from tune_paddy.data.images import ImageError, load_rgb
from tune_paddy.data.pixel_range import PixelRange

SIDE = 192
"""Longer side of a thumbnail, in px: at most about 15 kB."""
_QUALITY = 78


def thumbnail_uri(path: Path, side: int = SIDE, *, pixel_range: PixelRange | None = None) -> str | None:
    """Return a small JPEG of an image as a `data:` URI; None if the image cannot be read.

    Args:
        path: Path of the image.
        side: Maximum length of the longer side, in px; smaller images are not enlarged.
        pixel_range: Range of deep images; None: each by itself.
    """
    try:
        image = load_rgb(path, pixel_range)
    except ImageError:
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return data_uri(file.getvalue(), "image/jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """Encode a file as a `data:` URI, so that a page needs no other file.

    >>> data_uri(b"GIF", "image/gif")
    'data:image/gif;base64,R0lG'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
