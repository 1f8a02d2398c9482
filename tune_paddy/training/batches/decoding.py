"""Decode and scale an image: the deterministic and slow part of reading it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tune_paddy.core.config import MemberConfig
from tune_paddy.data.image_cache.cache import CacheRefusedError, ImageSet, Resizing, machine_cache
from tune_paddy.data.image_cache.entry import CachedImages
from tune_paddy.data.images import use_pixels
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.data.resizing import Pixels, Size, scaled_size, visible_part
from tune_paddy.training.devices import resize_uint8

VERSIONS = tuple(f"{name} {version(name)}" for name in ("pillow", "torch"))
"""Versions of the packages that pixels may depend on; simplejpeg decodes to Pillow's pixels."""


def load_scaled(path: str, size: Size, method: str, pixel_range: PixelRange | None = None) -> Pixels:
    """Decode an image and do the first step of resizing, see `tune_paddy.data.resizing`.

    The filter is Pillow's bilinear one, which averages when shrinking. Its coefficients have 16 bits instead
    of Pillow's 32, so each of its two passes may round differently: most values equal Pillow's, and none
    differs by more than 2 of 255.

    Args:
        path: Path of the image file.
        size: (height, width) in px of the final image.
        method: Resizing method: squish, crop or pad.
        pixel_range: Range of deep images; None: each by itself.

    Returns:
        uint8 [3, h, w], contiguous. For `squish`, (h, w) is `size`; for `crop`, neither side is smaller;
        for `pad`, neither is larger.

    Raises:
        ImageError: The file cannot be read as an image.
        ValueError: Unknown method.
    """
    return use_pixels(path, lambda pixels: _scaled(pixels, size, method), pixel_range)


def _scaled(pixels: NDArray[np.uint8], size: Size, method: str) -> Pixels:
    left, top, right, bottom = visible_part(pixels.shape[:2], size, method)
    part = pixels[top:bottom, left:right]
    after = scaled_size(part.shape[:2], size, method)
    if part.shape[:2] == after:
        return np.ascontiguousarray(part.transpose(2, 0, 1))
    if after[1] == 1:  # torch's filters, for bytes and for floats, return wrong values for a single column
        column = Image.fromarray(part).resize((1, after[0]), Image.Resampling.BILINEAR)
        return np.ascontiguousarray(np.asarray(column).transpose(2, 0, 1))
    scaled = resize_uint8(torch.from_numpy(part).permute(2, 0, 1)[None], after, antialias=True)
    return np.ascontiguousarray(scaled[0].numpy())


@contextmanager
def opened_cache(
    limit: float | None, images: ImageSet | None, config: MemberConfig, *, threads: int
) -> Iterator[tuple[CachedImages | None, tuple[str, ...]]]:
    """Open this machine's image cache for a member, and build missing entries.

    Args:
        limit: Size limit in GB, see `machine_cache`.
        images: Images of the dataset; None: no cache.
        config: Configuration of the member.
        threads: Number of images to decode at once.

    Yields:
        Cached images, or None to read from the files; and warnings, one if the cache has no space.
    """
    cache = machine_cache(limit)
    if cache is None or images is None:
        yield None, ()
        return
    resizing = Resizing(config.item_size, config.resize)
    load = partial(load_scaled, size=resizing.size, method=resizing.method, pixel_range=images.pixel_range)
    try:
        cached = cache.open(images, resizing, load, versions=VERSIONS, threads=threads)
    except CacheRefusedError as error:
        yield None, (f"no image cache: {error}",)
        return
    with cached:
        yield cached, ()
