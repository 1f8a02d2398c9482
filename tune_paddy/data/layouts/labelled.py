"""Labelled images of a dataset, whether a table or folders give their labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from tune_paddy.core.tasks.names import CLASSES
from tune_paddy.data.layouts.by_table.images import Surroundings
from tune_paddy.data.layouts.by_table.tables import LabelTable
from tune_paddy.data.layouts.file_names import NamedFiles
from tune_paddy.data.layouts.folders import ClassFolders
from tune_paddy.data.layouts.index import has_suffix
from tune_paddy.data.layouts.listing import make_labelled
from tune_paddy.data.layouts.masks import note_masks
from tune_paddy.data.layouts.parts import as_labelled, find_parts, last
from tune_paddy.data.layouts.tree import Tree, parent_of
from tune_paddy.data.submission.form import SubmissionFormat
from tune_paddy.data.system.text import counted, shown
from tune_paddy.data.tables.csv_table import CsvTable

BY_FOLDERS, BY_TABLE, BY_NAMES = "a folder per class", "a table of labels", "labels in file names"
"""Names of the layouts."""

_NAMED = 3
"""Number of folders that a line names."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled images and their source.

    Attributes:
        layout: Name of the layout.
        place: Folders of the images, for a person.
        source: Source of the labels, for a person.
        tree: Files that `files` are relative to.
        ids: Unique ids, [images].
        files: Images relative to the tree, or absolute, [images].
        labels: Labels, [images].
        form: Column names of a submission without a sample.
        test_folders: Folders of images to predict, relative to the dataset's tree.
        unnamed: Reason why another image has no label.
        notes: Messages about what was decided.
        table: Table of the labels; None: they come from folders.
        columns: Columns of the table that hold ids and labels.
        task: Name of the task.
        separator: Separator of several labels in the table's column; empty: none.
        empty: Columns of 0 and 1 without a 1.
    """

    layout: str
    place: str
    source: str
    tree: Tree
    ids: list[str]
    files: list[str]
    labels: list[str]
    form: SubmissionFormat
    test_folders: tuple[str, ...]
    unnamed: str
    notes: tuple[str, ...] = ()
    table: CsvTable | None = None
    columns: tuple[str, ...] = ()
    task: str = CLASSES
    separator: str = ""
    empty: tuple[str, ...] = ()

    @property
    def further(self) -> dict[str, list[str]]:
        """Columns of the table that hold neither ids nor labels."""
        names = () if self.table is None else self.table.columns
        return {
            name: self.table.column(name) for name in names if self.table and name not in ("", *self.columns)
        }

    @cached_property
    def with_suffix(self) -> bool:
        """Whether ids have suffixes."""
        return any(map(has_suffix, self.ids))

    def frame(self) -> pd.DataFrame:
        """Return id, absolute path and label of each image, and the further columns of a table."""
        paths = [str(self.tree.root / name) for name in self.files]
        return make_labelled(self.ids, paths, self.labels, self.table, self.columns)


def from_table(found: LabelTable, around: Surroundings) -> Labelled:
    """Return the labelled images of a table."""
    name = found.table.title
    folders = sorted({parent_of(file).partition("/")[0] for file in found.files if not file.startswith("/")})
    single = found.label_columns[0] if len(found.label_columns) == 1 else ""
    where = f"column {shown(single)}" if single else f"{len(found.label_columns)} columns of 0 and 1"
    return Labelled(
        layout=BY_TABLE,
        place=_in(folders, around.pictures),
        source=f"{name}, {where}; images by column {shown(found.id_column)}",
        tree=around.pictures,
        ids=found.ids,
        files=found.files,
        labels=found.labels,
        form=SubmissionFormat(found.id_column, single or SubmissionFormat().label_column),
        test_folders=tuple(around.test_folders),
        unnamed=f"that {name} {'do' if found.table.joined else 'does'} not name",
        notes=tuple(_table_notes(found)),
        table=found.table,
        columns=(found.id_column, *found.label_columns),
        task=found.read.task,
        separator=found.read.separator,
        empty=found.read.empty,
    )


def _table_notes(found: LabelTable) -> Iterator[str]:
    """Yield what is said about the files and the labels of a table."""
    for file in found.table.by_file:
        name = found.table.name_of(file)
        if not file.encoding.startswith("utf"):
            yield f"{name} is read as Windows-1252 text"
        if file.lost:
            yield f"{name}: its paths are read without {shown(file.lost)}, which is not here"
        own = [column for column in file.columns if column not in found.table.columns]
        if own:
            few = ", ".join(map(shown, own[:_NAMED])) + (", …" if len(own) > _NAMED else "")
            yield f"{name}: not used, since the other tables have no such column: {few}"
    if found.validation:
        yield as_labelled(found.validation)
    if found.read.note:
        yield found.read.note
    if found.read.empty:
        yield _empty_note(found)


def _empty_note(found: LabelTable) -> str:
    """Return the note on columns that are no classes because no row has a 1 in them."""
    names = found.read.empty
    columns = counted(len(names), "column")
    few = ", ".join(map(shown, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")
    return f"{found.table.title}: {columns} without a 1 ({few}): no class, since no image has it"


def from_file_names(found: NamedFiles, around: Surroundings) -> Labelled:
    """Return the labelled images whose names begin with their labels; an id is a path below their folder."""
    start = f"{found.bases[0]}/" if len(found.bases) == 1 and found.bases[0] else ""
    return Labelled(
        layout=BY_NAMES,
        place=_in(found.bases, around.tree),
        source=f"beginnings of the file names, such as {shown(found.rows[0][0])} of "
        f"{shown(found.rows[0][1].rpartition('/')[2])}",
        tree=around.tree,
        ids=[name.removeprefix(start) for _, name in found.rows],
        files=[name for _, name in found.rows],
        labels=[label for label, _ in found.rows],
        form=SubmissionFormat(),
        test_folders=found.tests,
        unnamed="in no folder of labelled images",
        task=around.options.task or CLASSES,
    )


def from_folders(found: ClassFolders, around: Surroundings) -> Labelled:
    """Return the labelled images of class folders; an id is a path below the folder of the classes.

    If they lie in several parts, an id is the path below the dataset's folder.
    """
    tree = around.pictures
    start = f"{found.bases[0]}/" if len(found.bases) == 1 and found.bases[0] else ""
    place = _in(found.bases, tree)
    return Labelled(
        layout=BY_FOLDERS,
        place=place,
        source="names of the folders",
        tree=tree,
        ids=[name.removeprefix(start) for _, name in found.rows],
        files=[name for _, name in found.rows],
        labels=[label for label, _ in found.rows],
        form=SubmissionFormat(),
        test_folders=found.tests,
        unnamed="in no class folder",
        notes=(*found.notes, *note_masks([name for _, name in found.rows]), *_test_notes(around.tree, found)),
        task=around.options.task or CLASSES,
    )


def _test_notes(tree: Tree, found: ClassFolders) -> tuple[str, ...]:
    """Note folders of images to predict whose sub-folders are named like the classes."""
    classes = {label for label, _ in found.rows}
    alike = [
        folder
        for folder in found.tests
        if {last(child) for child in find_parts(tree, folder).others} & classes
    ]
    return tuple(
        f"{shown(folder)}: its images are to be predicted; the names of its folders are not used as labels"
        for folder in alike
    )


def _in(folders: "list[str] | tuple[str, ...]", tree: Tree) -> str:
    """Return folders of images for a person."""
    names = [shown(folder) if folder else f"{shown(tree.root)} itself" for folder in folders[:_NAMED]]
    return ", ".join(names) + (", …" if len(folders) > _NAMED else "") or shown(tree.root)
