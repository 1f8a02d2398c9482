"""Layout: a folder of images per class."""

from collections.abc import Iterator
from pathlib import Path

from tune_paddy.data.layouts.listing import (
    TEST_FOLDERS,
    Listing,
    is_passed_over,
    list_images,
    make_labelled,
    make_test,
)
from tune_paddy.data.submission import SubmissionFormat
from tune_paddy.data.system.text import shown

NAME = "a folder per class"
TRAIN_FOLDERS = ("train", "train_images")


def fits_folders(root: Path) -> bool:
    """Return whether a folder, or its train folder, holds folders with images."""
    return any(list_images(folder)[0] for folder in _class_folders(_train_folder(root)))


def read_folders(root: Path) -> Listing:
    """List the images of the class folders; an image's id is its path below them.

    Raises:
        InputError: A file's name is not UTF-8.
        OSError: A folder cannot be read.
    """
    base = _train_folder(root)
    found = {folder.name: list_images(folder) for folder in _class_folders(base)}
    rows = [
        (f"{label}/{name}", path, label)
        for label, (names, paths) in found.items()
        for name, path in zip(names, paths, strict=True)
    ]
    ids, paths, labels = (list(column) for column in zip(*rows, strict=True))
    test = next((root / name for name in TEST_FOLDERS if (root / name).is_dir()), None)
    empty = [label for label, (names, _) in found.items() if not names]
    return Listing(
        layout=NAME,
        root=root,
        labelled=make_labelled(ids, paths, labels),
        test=make_test(*list_images(test)) if test else make_test(),
        form=SubmissionFormat(),
        notes=tuple(_notes(root, base, empty)),
    )


def _train_folder(root: Path) -> Path:
    folders = [root / name for name in TRAIN_FOLDERS]
    return next((folder for folder in folders if folder.is_dir() and _class_folders(folder)), root)


def _class_folders(base: Path) -> list[Path]:
    """Return the class folders, sorted by name, without the folders of images to predict."""
    return sorted(
        entry
        for entry in base.iterdir()
        if entry.is_dir() and not is_passed_over(entry.name) and entry.name not in TEST_FOLDERS
    )


def _notes(root: Path, base: Path, empty: list[str]) -> Iterator[str]:
    for label in empty:
        yield f"{shown(base / label)} holds no images and is not used"
    if base != root:
        for folder in _class_folders(root):
            if folder != base:
                yield f"{shown(folder)} is not used: labelled images are read from {shown(base)} only"
