"""Images that a table names: the folders that its paths may start from, and the file of each id."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.by_table.columns import NO_SAMPLE, Sample
from tune_paddy.data.layouts.index import ImageIndex, lies_directly_in, lies_in, prefer
from tune_paddy.data.layouts.names import Role
from tune_paddy.data.layouts.parts import all_parts, unwrap
from tune_paddy.data.layouts.tree import Tree, others_there, parent_of
from tune_paddy.data.options import ReadOptions
from tune_paddy.data.system.text import counted, listed, shown
from tune_paddy.data.tables.csv_table import CsvTable


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Files around a table.

    Attributes:
        tree: Files of the dataset.
        base: Folder that holds the dataset, relative to the tree.
        pictures: Files of the labelled images: the tree, or that of another folder that a person named.
        options: Options of the user on the layout.
        within: Folder of the labelled images that a person named, relative to the pictures; None: none.
        sample: Columns of the sample submission.
        test_folders_given: Folders of images to predict that another layout found.
    """

    tree: Tree
    base: str
    pictures: Tree
    options: ReadOptions
    within: str | None = None
    sample: Sample = NO_SAMPLE
    test_folders_given: tuple[str, ...] = ()

    @cached_property
    def index(self) -> ImageIndex:
        """Labelled images by name."""
        return ImageIndex(self.pictures.images)

    @cached_property
    def parts(self) -> dict[str, Role]:
        """Folders of the dataset with a role."""
        return all_parts(self.tree, self.base)

    @cached_property
    def test_folders(self) -> list[str]:
        """Folders of images to predict, unless a person named one as that of the labelled images."""
        named = [folder for folder, role in self.parts.items() if role is Role.TEST and folder != self.within]
        return list(self.test_folders_given) or named

    @cached_property
    def train_folders(self) -> list[str]:
        """Folders of images to train on."""
        return [folder for folder, role in self.parts.items() if role is Role.TRAIN]

    def own_folders(self, table: Path, part: Role) -> list[str]:
        """Return the folders of a part: those that its table lies in, otherwise all of them."""
        of_role = [folder for folder, role in self.parts.items() if role is part]
        folders = self.test_folders if part is Role.TEST else of_role
        holding = self._parts_around(table)
        return [folder for folder in folders if folder in holding] or folders

    def _parts_around(self, table: Path) -> list[str]:
        """Return the folders with a role that a table lies in."""
        return [folder for folder in self.parts if self.tree.path(folder) in table.parents]

    def rival_folders(self) -> list[str]:
        """Return the folders of images to train on, which may have images of the same id; [] if there is one.

        A person who names the folder of the images means none of the others.
        """
        folders = self.train_folders
        if self.within is not None or len(folders) < 2:  # noqa: PLR2004 nothing to choose from
            return []
        return [unwrap(self.tree, folder) for folder in folders]

    def starts(self, table: Path, part: Role = Role.TRAIN) -> list[str]:
        """Return the folders that paths of a table may start from, relative to the pictures.

        A table in a folder of images, or anywhere in a part, as each part may have one, names those first.

        Args:
            table: Absolute path of the table.
            part: Part whose images the table names; its folders come before those of other parts.
        """
        if self.pictures.root != self.tree.root:
            return [""]
        inside = table.is_relative_to(self.tree.root)
        beside = parent_of(table.relative_to(self.tree.root).as_posix()) if inside else ""
        own = self.own_folders(table, part)
        given = () if self.within is None else (self.within,)
        if beside != self.base and self.tree.holds_images(beside):
            given = (*given, beside)
        around = self._parts_around(table)
        inner = [unwrap(self.tree, folder) for folder in (*around, *own)]
        others = [one for one, role in self.parts.items() if role is not Role.TEST or part is Role.TEST]
        folders = (*given, *inner, *around, *own, beside, self.base, *others)
        return list(dict.fromkeys(folders))


def find_files(
    table: CsvTable,
    ids: Sequence[str],
    around: Surroundings,
    *,
    labels: Sequence[str] | None = None,
    part: Role = Role.TRAIN,
    without: Collection[str] = (),
) -> list[str]:
    """Return the image of each id, relative to the pictures or absolute, [rows].

    Of several images with an id, those in the folder of its label come first, then those of the table's
    part; without labels those of the part to predict.

    Args:
        table: Table of the ids.
        ids: Ids, [rows].
        around: Files around the table.
        labels: Labels, [rows]; None: the table lists images to predict.
        part: Part of the labelled images.
        without: Images that no id means.

    Raises:
        InputError: An image is missing, ambiguous or outside the dataset, or lies in the folder of another
            label.
    """
    part = part if labels else Role.TEST
    starts = around.starts(table.path, part)
    in_part = lies_in(around.own_folders(table.path, part) or ["/"])
    in_other = lies_in((around.test_folders if labels else around.train_folders) or ["/"])
    rivals = around.rival_folders() if part is Role.TRAIN else []
    found: list[tuple[str, ...]] = []
    _check_free(table, ids, around, starts, without)
    for row, name in enumerate(ids):
        _check_inside(table, row, name)
        candidates = _absolute(name, around.pictures.root) or around.index.find(name, starts)
        also = [path for folder in rivals for path in around.index.find(f"{folder}/{name}")]
        candidates = [path for path in dict.fromkeys((*candidates, *also)) if path not in without]
        rules = (lies_directly_in(labels[row]),) if labels else ()
        found.append(tuple(prefer(candidates, *rules, in_part, lambda path: not in_other(path))))
    _check_found(table, ids, found, around, labels)
    return [names[0] for names in found]


def recognises(path: Path, around: Surroundings, part: Role = Role.TRAIN) -> Callable[[str], bool]:
    """Return the function that says whether a value of a table at `path` names an image."""
    starts = around.starts(path, part)
    return lambda value: (
        bool(value.strip()) and (bool(around.index.find(value, starts)) or _is_absolute_file(value))
    )


def folder_finder(path: Path, around: Surroundings) -> Callable[[str], str | None]:
    """Return the function that says where the image lies that a table at `path` names; None: nowhere."""
    starts = around.starts(path)

    def folder_of(value: str) -> str | None:
        found = around.index.find(value, starts) if value else []
        return parent_of(found[0]) if found else None

    return folder_of


def _check_inside(table: CsvTable, row: int, name: str) -> None:
    if ".." in name and ".." in PurePath(name).parts:
        raise InputError(
            f"{table.place(row)}: {shown(name)} contains '..': write an absolute path, or one below "
            f"{shown(table.path.parent)}"
        )


def _check_free(
    table: CsvTable, ids: Sequence[str], around: Surroundings, starts: Sequence[str], taken: Collection[str]
) -> None:
    """Refuse a table of which every image is taken: a list of images to predict that are all labelled."""
    labelled = frozenset(taken)
    first = around.index.find(ids[0], starts) if labelled else []
    if first and all(
        (found := around.index.find(name, starts)) and labelled.issuperset(found) for name in ids
    ):
        raise InputError(
            f"{shown(table.path)}: its {counted(len(ids), 'image')} are all labelled ones, such as "
            f"{shown(first[0])}, so there is nothing to predict: correct or remove it"
        )


def _check_found(
    table: CsvTable,
    ids: Sequence[str],
    found: Sequence[Sequence[str]],
    around: Surroundings,
    labels: Sequence[str] | None,
) -> None:
    """Refuse ids without an image or with several, and images in the folder of another label."""
    by_folder = labels is not None and _is_by_label(found, ids, labels)

    def problem(row: int) -> str:
        return _problem(ids[row], found[row], labels[row] if labels and by_folder else "")

    rows = [row for row in range(len(ids)) if problem(row)]
    if not rows:
        return
    what = "not in the folder of their label" if by_folder else "missing"
    if all(names for names in found) and not by_folder:
        what = "found several times"
    where, there = shown(around.pictures.root), others_there(around.pictures)
    if around.pictures.images and not any(found):
        there = f"names there are such as {shown(around.pictures.images[0])}"
    raise InputError(
        f"{shown(table.path)}: {counted(len(rows), 'image')} {what} in {where}: correct the table, add the "
        f"images, or name their folder with `images`{f'; {there}' if there else ''}"
        f"{listed((f'line {table.lines[row]}: {problem(row)}' for row in rows), len(rows))}",
        options=("images",),
    )


def _is_by_label(found: Sequence[Sequence[str]], ids: Sequence[str], labels: Sequence[str]) -> bool:
    """Return whether images with plain names lie in folders of their labels, at least half of them."""
    plain = [row for row, names in enumerate(found) if names and _is_plain(ids[row])]
    agree = sum(lies_directly_in(labels[row])(found[row][0]) for row in plain)
    return bool(plain) and 2 * agree >= len(plain)


def _problem(name: str, names: Sequence[str], label: str) -> str:
    """Return what is wrong with the images of an id; "" if nothing is."""
    said = f"{shown(name)} has label {shown(label)} and" if label else shown(name)
    if not names:
        return f"{said} is not there"
    if len(names) > 1:
        return f"{said} can be {' or '.join(map(shown, names[:2]))}"
    if label and _is_plain(name) and not lies_directly_in(label)(names[0]):
        return f"{said} lies in {shown(PurePath(parent_of(names[0])).name)}"
    return ""


def _is_plain(name: str) -> bool:
    """Return whether an id is a name without folders."""
    return "/" not in name and "\\" not in name


def _absolute(name: str, root: Path) -> list[str]:
    """Return the image of an absolute path, relative to the root if it lies below; [] for any other id."""
    if not _is_absolute_file(name):
        return []
    path = Path(name)
    return [path.relative_to(root).as_posix() if path.is_relative_to(root) else name]


def _is_absolute_file(name: str) -> bool:
    try:
        return os.path.isabs(name) and Path(name).is_file()  # noqa: PTH117 pathlib is slow for a million
    except (OSError, ValueError):  # an impossible name
        return False
