"""Layout: flat images whose names begin with their label, as `cat.0.jpg` and `dog_12.jpg`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tune_paddy.data.layouts.index import without_suffix
from tune_paddy.data.layouts.names import Role, is_container, role_of
from tune_paddy.data.layouts.parts import Parts, find_parts, unwrap
from tune_paddy.data.layouts.tree import Tree

_NAME = re.compile(r"(.*\D)[._\- ]+\(?(\d+)\)?")
"""A label, a separator and a number."""

_IMAGES_PER_LABEL = 3
"""Smallest mean number of images of a label: with fewer, the names are rather those of single images."""


@dataclass(frozen=True, eq=False)
class NamedFiles:
    """Images whose names hold their labels; paths are relative to the tree.

    Attributes:
        bases: Folders of the images.
        rows: (label, image) of every labelled image.
        tests: Folders of images to predict.
    """

    bases: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


def find_named_files(tree: Tree, base: str) -> NamedFiles | None:
    """Find labelled images by their names; None: not all of them have a label and a number.

    Args:
        tree: Files of the dataset.
        base: Folder that holds the dataset, relative to the tree.
    """
    parts = find_parts(tree, base)
    bases = _folders(tree, base, parts)
    tests = tuple(unwrap(tree, folder) for folder in parts.of(Role.TEST))
    images = [name for folder in bases for name in tree.files(folder)]
    if not bases or len(images) < sum(len(tree.below(folder)) for folder in bases if folder != base):
        return None  # some lie in further folders
    labels = [label_of(name) for name in images]
    known = {label for label in labels if label}
    if "" in labels or len(known) < 2 or len(images) < _IMAGES_PER_LABEL * len(known):  # noqa: PLR2004
        return None
    if any(is_container(label) or role_of(label) is not None for label in known):
        return None
    return NamedFiles(tuple(bases), tuple(zip(labels, images, strict=True)), tests)


def label_of(name: str) -> str:
    """Return the label in the name of an image; empty: there is none.

    >>> label_of("train/cat.0.jpg"), label_of("brown spot (12).jpg"), label_of("IMG1.jpg")
    ('cat', 'brown spot', '')
    """
    found = _NAME.fullmatch(without_suffix(name.rpartition("/")[2]))
    return found[1].strip(" ._-") if found else ""


def _folders(tree: Tree, base: str, parts: Parts) -> Sequence[str]:
    """Return the folders of labelled images: parts to train on, the only other folder, or the base itself."""
    labelled = [unwrap(tree, folder) for folder in parts.of(Role.TRAIN, Role.VALIDATION)]
    if parts.others:
        return list(parts.others) if len(parts.others) == 1 and not labelled else []
    return labelled or ([base] if tree.files(base) else [])
