"""Images to predict: those of a sample submission, of a table, or of the folders for them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.by_table.columns import Sample, find_id_column
from tune_paddy.data.layouts.by_table.images import Surroundings, find_files, recognises
from tune_paddy.data.layouts.by_table.local_paths import read_local
from tune_paddy.data.layouts.by_table.tables import Kind, Verdict, read_ids
from tune_paddy.data.layouts.index import has_suffix, without_suffix
from tune_paddy.data.layouts.masks import mask_folders
from tune_paddy.data.layouts.names import Role, holds_predictions
from tune_paddy.data.layouts.parts import unwrap
from tune_paddy.data.options import FOLDERS
from tune_paddy.data.submission.form import SAMPLE
from tune_paddy.data.system.text import listed, shown
from tune_paddy.data.tables.csv_table import CsvTable, read_table

_FIRST = 200
"""Number of rows of a sample submission whose words tell the column of the labels."""


@dataclass(frozen=True, eq=False)
class TestSet:
    """Images to predict.

    Attributes:
        ids: Ids, in the order of the submission.
        files: Images relative to the tree, or absolute, [ids].
        source: Where they come from, for a person; empty if there are none.
        table: Path of the table that names them, relative to the tree; None: they are all of a folder.
        sample: Path of the sample submission, if it names them.
    """

    ids: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    source: str = ""
    table: str | None = None
    sample: Path | None = None


@dataclass(frozen=True, eq=False)
class SampleTable:
    """A sample submission: its place in the tree, and its content."""

    name: str
    table: CsvTable

    @property
    def columns(self) -> Sample:
        """Columns of the sample."""
        others = tuple(name for name in self.table.columns[1:] if name)
        cells = self.table.column(others[0])[:_FIRST] if len(others) == 1 else []
        words = frozenset(word for cell in cells for word in cell.split() if not _is_number(word))
        return Sample(self.table.columns[0], others, words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def find_sample(root: Path, names: Sequence[str]) -> SampleTable | None:
    """Read the sample submission among tables; None: there is none.

    Args:
        root: Folder of the dataset.
        names: Paths of tables with the name of a sample submission, relative to the root.

    Raises:
        InputError: There are several, or the table is invalid.
    """
    exact = [name for name in names if PurePath(name).name == SAMPLE]
    chosen = exact if len(exact) == 1 else list(names)
    if len(chosen) > 1:
        raise InputError(
            f"{shown(root)}: several tables are named like a sample submission: keep one"
            f"{listed(map(shown, chosen), len(chosen))}"
        )
    if not chosen:
        return None
    table = read_table(root / chosen[0])
    if len(table.columns) < 2:  # noqa: PLR2004 ids and labels
        raise InputError(f"{shown(table.path)}:1: has one column; a sample submission has ids and labels")
    return SampleTable(chosen[0], table)


def find_test_set(
    around: Surroundings,
    *,
    sample: SampleTable | None,
    verdicts: Sequence[Verdict],
    folders: Sequence[str],
    labelled: Collection[str],
    with_suffix: bool,
) -> TestSet:
    """Find the images to predict and their order.

    Args:
        around: Files of the dataset.
        sample: Its sample submission; it decides if there is one.
        verdicts: What its tables are; a list of images to predict decides otherwise.
        folders: Folders of images to predict, relative to the tree.
        labelled: Labelled images, relative to the tree; a sample never means them.
        with_suffix: Whether ids of images in `folders` keep their suffix.

    Raises:
        InputError: A table is invalid, or names an image that is missing or ambiguous.
    """
    around = replace(around, pictures=around.tree, within=None, test_folders_given=tuple(folders))
    if sample is not None:
        _check_first(sample.table, recognises(sample.table.path, around, Role.TEST))
        ids = read_ids(sample.table, sample.table.columns[0])
        files = find_files(sample.table, ids, around, without=labelled)
        path = around.tree.path(sample.name)
        return TestSet(tuple(ids), tuple(files), f"as {shown(sample.name)} lists", sample.name, path)
    names = (verdict.name for verdict in verdicts if verdict.kind is Kind.TEST)
    required = not folders and around.options.labels is None  # who names the labels may leave the list out
    lists = (_read_list(name, around, labelled, required=required) for name in names)
    found = next(filter(None, lists), None)
    return found or _read_folders(around, folders, labelled, with_suffix)


def _check_first(table: CsvTable, is_image: Callable[[str], bool]) -> None:
    """Refuse a sample submission in which another column than the first one names the images."""
    column = find_id_column(table, is_image)
    if column not in (None, table.columns[0]) and not any(map(is_image, table.column(table.columns[0]))):
        raise InputError(
            f"{shown(table.path)}:1: column {shown(str(column))} names the images, but is not the first one: "
            "move it to the front of every row; leaderboards find columns by their names"
        )


def _read_list(
    name: str, around: Surroundings, labelled: Collection[str], *, required: bool
) -> TestSet | None:
    """Read a list of images to predict.

    Returns:
        The images; None: it names none, and there is another source, or it holds predictions of labelled
        images, as other programs write them.
    """
    table = read_local(around.tree.path(name), around, Role.TEST)
    column = find_id_column(table, recognises(table.path, around, Role.TEST))
    if column is None:
        if required:
            raise InputError(
                f"{shown(table.path)}: none of the images to predict that it lists is in "
                f"{shown(around.tree.root)}: add them, remove the list, or name the labels with "
                f"`labels=FILE` or `labels={FOLDERS}` to leave it out",
                options=("labels",),
            )
        return None
    ids = read_ids(table, column)
    files = find_files(table, ids, around)
    if holds_predictions(PurePath(name).stem) and set(files) <= set(labelled):
        return None
    return TestSet(tuple(ids), tuple(files), f"as {shown(name)} lists", name)


def _read_folders(
    around: Surroundings, folders: Sequence[str], labelled: Collection[str], with_suffix: bool
) -> TestSet:
    tree = around.tree
    places = [place for folder in folders for place in (folder, *tree.children(folder))]
    masks = tuple(f"{one}/" for place in places for one in mask_folders(tree, place))
    images = (name for folder in folders for name in tree.below(folder) if not name.startswith(masks))
    files = [name for name in images if name not in labelled]
    inner = unwrap(tree, folders[0]) if len(folders) == 1 else ""
    ids = [name.removeprefix(f"{inner}/") if inner else name for name in files]
    short = [without_suffix(name) for name in ids]
    if not with_suffix and len(set(short)) == len(short) and all(map(has_suffix, ids)):
        ids = short
    source = f"the images in {', '.join(map(shown, folders))}" if files else ""
    return TestSet(tuple(ids), tuple(files), source)
