"""All files of a folder tree by kind, found in one walk."""

import os
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath

from tune_paddy.core.errors import InputError
from tune_paddy.data.images import SUFFIXES
from tune_paddy.data.layouts.names import role_of
from tune_paddy.data.system.own_output import is_output, is_own_dataset, is_record, is_search
from tune_paddy.data.system.text import check_decoded, shown

OURS = "written by tune_paddy"
"""Kind of the results of this program among the files that are left out."""

TABLE_SUFFIXES = frozenset((".csv", ".tsv", ".tab"))
"""Suffixes of files that are read as tables, in lower case."""


_NOBODYS = frozenset((
    "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found",
))  # fmt: skip
"""Names, in small letters, of folders that no person made: small copies of images, and deleted files."""

_NAMED = 3
"""Number of kinds of files that a message names."""

_AFTER_SLASH = chr(ord("/") + 1)


@dataclass
class Tree:
    """Visible files below a folder; paths are relative to it, with forward slashes, and sorted.

    Attributes:
        root: The folder, absolute.
        images: Files with an image suffix.
        tables: Files with a table suffix.
        folders: Folders that were entered, without the root.
        left_out: Kind of a file or folder that is not read → paths; a folder ends with a slash.
        datasets: Folders that hold another dataset, which this program wrote or downloaded.
    """

    root: Path
    images: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    datasets: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        """Return the absolute path of a relative one."""
        return self.root / name

    def children(self, folder: str = "") -> list[str]:
        """Return the paths of the folders directly in a folder; "" is the root."""
        return self._children.get(folder, [])

    def files(self, folder: str = "") -> list[str]:
        """Return the images directly in a folder."""
        return self._files.get(folder, [])

    def below(self, folder: str = "") -> list[str]:
        """Return the images in a folder and its sub-folders."""
        if not folder:
            return self.images
        start = bisect_left(self.images, f"{folder}/")  # they are sorted: thousands of folders may ask
        return self.images[start : bisect_left(self.images, f"{folder}{_AFTER_SLASH}", start)]

    def holds_images(self, folder: str) -> bool:
        """Return whether a folder or one of its sub-folders holds images."""
        return folder in self._with_images

    @cached_property
    def _children(self) -> Mapping[str, list[str]]:
        return _by_parent(self.folders)

    @cached_property
    def _files(self) -> Mapping[str, list[str]]:
        return _by_parent(self.images)

    @cached_property
    def _with_images(self) -> frozenset[str]:
        direct = {parent_of(name) for name in self.images}
        return frozenset(str(parent) for name in direct for parent in (name, *PurePosixPath(name).parents))


def parent_of(name: str) -> str:
    """Return the folder of a relative path; "" is the root.

    >>> parent_of("cat/1.png"), parent_of("1.png")
    ('cat', '')
    """
    return name.rpartition("/")[0]


def joined(folder: str, name: str) -> str:
    """Join two relative paths.

    >>> joined("", "cat"), joined("train", "cat")
    ('cat', 'train/cat')
    """
    return f"{folder}/{name}" if folder else name


def _by_parent(names: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(parent_of(name), []).append(name)
    return found


def walk(root: Path) -> Tree:
    """List the files below a folder.

    Links to folders are followed where folders of classes and of parts of a dataset lie, not deeper: their
    images could be found twice. Results of this program are not entered.

    Args:
        root: Absolute path of the folder.

    Raises:
        InputError: The name of an image or of its folder is not UTF-8, or the folder holds results of this
            program.
        OSError: A folder cannot be read.
    """
    if is_search(_entries(root)):
        raise InputError(
            f"{shown(root)}: holds results that tune_paddy wrote, not labelled images: give the folder of "
            "the images"
        )
    tree = Tree(root)
    for parent, folders, files in os.walk(root, onerror=_raise, followlinks=True):
        here = PurePath(parent).relative_to(root).as_posix()
        here = "" if here == "." else here
        folders[:] = sorted(name for name in folders if _enters(tree, here, name))
        tree.folders.extend(joined(here, name) for name in folders)
        for name in files:
            _sort(tree, joined(here, name), name)
    _put_in_order(tree)
    return tree


def _enters(tree: Tree, here: str, name: str) -> bool:
    """Return whether a folder is entered; otherwise note the reason."""
    path = tree.path(joined(here, name))
    if is_passed_over(name):
        kind = "hidden"
    elif path.is_symlink() and not _follows(tree, here, path):
        kind = "link to a folder"
    else:
        entries = _entries(path)
        if not (is_output(name, entries) or is_own_dataset(entries)):
            return True
        kind = OURS
        if is_own_dataset(entries):
            tree.datasets.append(joined(here, name))
    tree.left_out.setdefault(kind, []).append(f"{joined(here, name)}/")
    return False


def _follows(tree: Tree, here: str, link: Path) -> bool:
    """Return whether a link to a folder is followed: at the top or in a part, to a place outside the tree."""
    is_high = not here or ("/" not in here and role_of(here) is not None)
    target = link.resolve()
    return is_high and not target.is_relative_to(tree.root) and not tree.root.is_relative_to(target)


def _sort(tree: Tree, path: str, name: str) -> None:
    """Put a file into the list of its kind."""
    suffix = PurePath(name).suffix.lower()
    if is_passed_over(name):
        tree.left_out.setdefault("hidden", []).append(path)
    elif suffix in SUFFIXES:
        tree.images.append(path)
    elif suffix in TABLE_SUFFIXES:
        tree.tables.append(path)
    elif is_record(name):
        tree.left_out.setdefault(OURS, []).append(path)
    else:
        tree.left_out.setdefault(kind_of(suffix), []).append(path)


def kind_of(suffix: str) -> str:
    """Return the kind of files with a suffix, among those that are left out.

    >>> kind_of(".txt"), kind_of("")
    ('.txt file', 'file without a suffix')
    """
    return f"{suffix} file" if suffix else "file without a suffix"


def others_there(tree: Tree) -> str:
    """Say what a folder without images holds instead; "" if it holds images, or nothing that may be meant."""
    kinds = {what: names for what, names in tree.left_out.items() if what.endswith(" file")}
    if tree.images or not kinds:
        return ""
    counts = sorted(((len(names), what, names[0]) for what, names in kinds.items()), reverse=True)
    named = ", ".join(f"{count:,} × {what} such as {shown(name)}" for count, what, name in counts[:_NAMED])
    return f"there are no images, but {named}: unpack archives, and save images as PNG, TIFF or JPEG"


def _put_in_order(tree: Tree) -> None:
    for names in (tree.images, tree.tables, tree.folders, tree.datasets, *tree.left_out.values()):
        names.sort()
    for name in tree.images:
        check_decoded(tree.root / name)


def is_passed_over(name: str) -> bool:
    """Return whether a file or folder is ignored: hidden, or left by an archiver, a system or a file server.

    >>> is_passed_over("__MACOSX"), is_passed_over("$Recycle.Bin"), is_passed_over("bin")
    (True, True, False)
    """
    return name.startswith(".") or name.casefold() in _NOBODYS


def is_image_name(name: str) -> bool:
    """Return whether a file name has an image suffix and is not ignored."""
    return PurePath(name).suffix.lower() in SUFFIXES and not is_passed_over(name)


def is_file(path: Path) -> bool:
    """Return whether a file exists; an impossible name is not an error."""
    try:
        return path.is_file()
    except OSError:
        return False


def list_images(folder: Path) -> tuple[list[str], list[str]]:
    """Find the image files in a folder tree by their suffixes, without results of this program.

    Returns:
        Sorted paths relative to `folder`, with forward slashes, and the absolute paths.

    Raises:
        InputError: A name is not UTF-8.
        OSError: A folder cannot be read.
    """
    found = sorted(_images_below(folder))
    for name in found:
        check_decoded(folder / name)
    return found, [str(folder / name) for name in found]


def _images_below(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not _is_skipped(Path(parent, name))]
        for name in filter(is_image_name, files):
            yield PurePath(parent, name).relative_to(folder).as_posix()


def _is_skipped(folder: Path) -> bool:
    if is_passed_over(folder.name):
        return True
    return not folder.is_symlink() and is_output(folder.name, _entries(folder))


def _entries(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def _raise(error: OSError) -> None:
    raise error
