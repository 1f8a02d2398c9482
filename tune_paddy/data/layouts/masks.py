"""Masks beside the images that they belong to, as sets for segmentation have them."""

import re
from collections.abc import Collection, Iterator

from tune_paddy.data.layouts.index import without_suffix
from tune_paddy.data.system.text import counted, shown

_MASK = re.compile(
    r"(.+?)[ ._-]*(?:masks?|seg|segmentation|gt|ground_?truth|trimap)(?:[ ._-]*\d+)?", re.IGNORECASE
)
"""Name of an image, and a word for what belongs to it; several are numbered."""


def note_masks(images: Collection[str]) -> Iterator[str]:
    """Yield a note on images that are named like masks of others in their folder.

    >>> (note,) = note_masks(["a/1.png", "a/1_mask.png", "a/2_mask.png", "a/face mask.png"])
    >>> note.partition(": ")[0]
    '1 image with the name of another and a word for a mask, such as a/1_mask.png'
    """
    names = {without_suffix(name) for name in images}
    masks = [name for name in images if _belongs(without_suffix(name), names)]
    if masks:
        yield (
            f"{counted(len(masks), 'image')} with the name of another and a word for a mask, such as "
            f"{shown(masks[0])}: read as images like all others; move masks elsewhere"
        )


def _belongs(name: str, names: Collection[str]) -> bool:
    found = _MASK.fullmatch(name)
    return found is not None and found[1] in names
