"""Small copies of images, for pages that carry their images with them."""

import base64
import io
from pathlib import Path

from PIL import Image

from tune_paddy.data.images import ImageError, load_rgb

SIDE = 192
"""Of a thumbnail's longer side, px: at most about 15 kB."""
_QUALITY = 78


def thumbnail_uri(path: Path, side: int = SIDE) -> str | None:
    """A small JPEG of an image as a `data:` address; None where it cannot be read.

    Args:
        path: Of the image.
        side: Longer side of the copy at most, px; small images stay as they are.
    """
    try:
        image = load_rgb(path)
    except ImageError:
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return data_uri(file.getvalue(), "image/jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """Put a file into an address, so that a page needs no other file.

    >>> data_uri(b"GIF", "image/gif")
    'data:image/gif;base64,R0lG'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
