"""Find the files of a dataset again: its sample submission, and the images of known ids."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.by_table.tables import tables_near
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.layouts.index import ImageIndex, lies_in, prefer
from tune_paddy.data.layouts.names import Role, is_sample
from tune_paddy.data.layouts.parts import all_parts, find_base, unwrap
from tune_paddy.data.layouts.test_set import find_sample
from tune_paddy.data.layouts.tree import walk
from tune_paddy.data.options import DETECTED, ReadOptions
from tune_paddy.data.submission.form import SAMPLE
from tune_paddy.data.system.text import shown


def find_sample_file(data: Path) -> Path:
    """Return the sample submission of a dataset's folder.

    Raises:
        InputError: There is none, or there are several; or the folder cannot be read.
    """
    try:
        tree = walk(data.absolute())
    except OSError as error:
        raise InputError(f"{shown(data)}: cannot be read: {error.strerror or error}") from error
    near = tables_near(tree, find_base(tree))
    sample = find_sample(tree.root, [name for name in near if is_sample(name)])
    if sample is None:
        raise InputError(f"{shown(data)} has no sample submission, such as {SAMPLE}")
    return tree.path(sample.name)


def find_test_images(data: Path, ids: Sequence[str]) -> dict[str, Path]:
    """Return the images of ids in a dataset's folder; an id whose image is not there is left out.

    Images in a folder to predict, such as `test`, come before others of the same name.

    Args:
        data: Folder of the dataset; it may be gone.
        ids: Names of images, with or without suffix.
    """
    try:
        tree = walk(data)
    except (OSError, InputError):
        return {}
    base = find_base(tree)
    parts = all_parts(tree, base)
    tests = [folder for folder, role in parts.items() if role is Role.TEST]
    starts = [*(unwrap(tree, folder) for folder in tests), *tests, base]
    index, in_tests = ImageIndex(tree.images), lies_in(tests or ["/"])
    found = {name: prefer(index.find(name, list(dict.fromkeys(starts))), in_tests) for name in ids}
    return {name: tree.path(names[0]) for name, names in found.items() if len(names) == 1}


def find_files(
    dataset: Path, options: ReadOptions = DETECTED
) -> tuple[Mapping[str, Path], Mapping[str, Path]]:
    """Return id → file of a dataset's labelled images and of its test set.

    Both are empty if the dataset is not at its path: it may have moved, or be on another machine.

    Args:
        dataset: Path that the dataset was opened from.
        options: Options that it was read with.
    """
    try:
        listing = list_dataset(dataset, options)
    except InputError:
        return {}, {}
    return _files(listing.labelled["id"], listing.labelled["path"]), _files(
        listing.test["id"], listing.test["path"]
    )


def _files(names: Iterable[str], paths: Sequence[str] | Iterable[str]) -> dict[str, Path]:
    return {str(name): Path(path) for name, path in zip(names, paths, strict=True)}
