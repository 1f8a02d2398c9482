"""Masks beside the images that they belong to, or in a folder beside theirs, as in sets for segmentation."""

import re
from collections.abc import Collection, Iterator

from tune_paddy.data.layouts.index import without_suffix
from tune_paddy.data.layouts.names import holds_masks, is_container
from tune_paddy.data.layouts.parts import last
from tune_paddy.data.layouts.tree import Tree
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


def mask_folders(tree: Tree, folder: str) -> list[str]:
    """Return the folders of masks in a folder, such as `COVID/masks` beside `COVID/images`.

    They are named so, and each mask has the name of an image in the folder or in one that is named after
    images.
    """
    inside = [child for child in tree.children(folder) if tree.holds_images(child)]
    masks = [child for child in inside if holds_masks(last(child))]
    if not masks:
        return []
    beside = [child for child in inside if child not in masks and is_container(last(child))]
    images = {_stem(name) for name in (*tree.files(folder), *(n for one in beside for n in tree.below(one)))}
    return [child for child in masks if images.issuperset(map(_stem, tree.below(child)))]


def _stem(name: str) -> str:
    """Return the name of an image without folders, suffix, and a word for a mask."""
    stem = without_suffix(last(name))
    found = _MASK.fullmatch(stem)
    return found[1] if found else stem


def _belongs(name: str, names: Collection[str]) -> bool:
    found = _MASK.fullmatch(name)
    return found is not None and found[1] in names
