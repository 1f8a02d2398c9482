"""Choice between the labels of a table and those of folders, where a dataset has both or several."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.by_table.columns import is_usual_label
from tune_paddy.data.layouts.by_table.images import Surroundings
from tune_paddy.data.layouts.by_table.joined import refuse_parts
from tune_paddy.data.layouts.by_table.other_files import is_named_like_labels
from tune_paddy.data.layouts.by_table.side_columns import class_folders
from tune_paddy.data.layouts.by_table.tables import Kind, LabelTable, Verdict
from tune_paddy.data.layouts.file_names import NamedFiles, find_named_files
from tune_paddy.data.layouts.folders import ClassFolders
from tune_paddy.data.layouts.names import Role, role_of
from tune_paddy.data.layouts.parts import last
from tune_paddy.data.layouts.tree import others_there
from tune_paddy.data.options import FOLDERS
from tune_paddy.data.system.text import counted, shown
from tune_paddy.data.tables.json_rows import JSON_SUFFIXES, OF_OBJECT

_WAY_OUT = f"give `labels=FILE` to read one, or `labels={FOLDERS}` to read the names of the folders"


def decide(
    around: Surroundings, verdicts: Sequence[Verdict]
) -> tuple[LabelTable | ClassFolders | NamedFiles, tuple[Verdict, ...]]:
    """Choose the source of the labels.

    A table wins over class folders if it names all of their images. A table that names no image of the
    folders, or only some with equal labels, loses. Names of files are labels if there are neither tables nor
    class folders.

    Args:
        around: Files of the dataset.
        verdicts: What its tables are.

    Returns:
        The source, and the verdicts with the reasons of the tables that are not used.

    Raises:
        InputError: There is no source, or it is not clear which one is meant.
    """
    verdicts = _without_submissions(around, verdicts)
    try:
        folders = class_folders(around)
    except InputError as error:
        return _without_folders(around, verdicts, error), tuple(verdicts)
    if len({label for label, _ in folders.rows}) < 2:  # noqa: PLR2004 one folder is that of all images
        one = InputError(f"{shown(around.tree.root)}: all images lie in one folder, {_few(folders)}")
        if _has_labels(verdicts):
            return _only_table(around, verdicts, one), tuple(verdicts)
        named = find_named_files(around.tree, around.base)
        if named is None and any(verdict.kind is Kind.OTHER for verdict in verdicts):
            raise InputError(_nothing(around, verdicts, one), options=_OPTIONS)
        return named or folders, tuple(verdicts)
    judged = tuple(_against(verdict, folders, around) for verdict in verdicts)
    winners = _tables_of(judged)
    if not winners:
        pairs = zip(verdicts, judged, strict=True)
        clash = _tables_of(one for one, now in pairs if now.kind is Kind.PROBLEM)
        _refuse_several(around, clash, f", or give `labels={FOLDERS}` to read the names of the folders")
        _refuse_problems(judged, frozenset(name for _, name in folders.rows))
        return folders, judged
    return _single(around, winners), judged


def _without_submissions(around: Surroundings, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Take copies of a submission from the race, where another table is named like labels.

    Where the parts share names of images, a submission also names images to train on.
    """
    tables = _tables_of(verdicts)
    named = [table for table in tables if is_named_like_labels(table.path.stem)]
    copies = [table for table in tables if named and table not in named and _predicts_all(table, around)]
    reason = "it names all images to predict, as a submission does"
    return tuple(
        replace(verdict, kind=Kind.OTHER, reason=reason, labels=None) if verdict.labels in copies else verdict
        for verdict in verdicts
    )


def _predicts_all(table: LabelTable, around: Surroundings) -> bool:
    """Return whether the names in a table are those of all images to predict, and no others."""
    wanted = {name for folder in around.test_folders for name in around.tree.below(folder)}
    starts = around.starts(table.path, Role.TEST)
    found = [set(around.index.find(name, starts)) & wanted for name in table.ids]
    return bool(wanted) and all(found) and set().union(*found) == wanted


def _tables_of(verdicts: Iterable[Verdict]) -> list[LabelTable]:
    """Return the tables of labels; one that was joined from those of several parts once."""
    return list(dict.fromkeys(verdict.labels for verdict in verdicts if verdict.labels is not None))


def _has_labels(verdicts: Sequence[Verdict]) -> bool:
    """Return whether a table holds labels, or may hold them."""
    return any(verdict.labels or verdict.kind is Kind.PROBLEM for verdict in verdicts)


def _without_folders(
    around: Surroundings, verdicts: Sequence[Verdict], no_folders: InputError
) -> LabelTable | NamedFiles:
    """Return the source of the labels of a dataset without class folders."""
    named = None if _has_labels(verdicts) else find_named_files(around.tree, around.base)
    return named or _only_table(around, verdicts, no_folders)


def _only_table(around: Surroundings, verdicts: Sequence[Verdict], no_folders: InputError) -> LabelTable:
    """Return the table of labels of a dataset without class folders."""
    tables = _tables_of(verdicts)
    if not tables:
        problem = next((verdict.reason for verdict in verdicts if verdict.kind is Kind.PROBLEM), None)
        if problem is not None:
            raise InputError(problem, options=_OPTIONS) from no_folders
        if no_folders.options and not verdicts:  # an option decides, and nothing else could
            raise no_folders
        raise InputError(_nothing(around, verdicts, no_folders), options=_OPTIONS) from no_folders
    table = _single(around, tables)
    rest = frozenset(around.pictures.images).difference(table.files)
    if any(not name.startswith(tuple(f"{folder}/" for folder in around.test_folders)) for name in rest):
        _refuse_problems(verdicts, rest)
    return table


_OPTIONS = ("labels", "images", "id_column", "label_column", "task")


def _nothing(around: Surroundings, verdicts: Sequence[Verdict], no_folders: InputError) -> str:
    """Say why neither folders nor tables give labels."""
    tables = "; ".join(f"{shown(verdict.name)}: {verdict.reason or verdict.kind}" for verdict in verdicts)
    others = others_there(around.pictures)
    way_out = ", or name the columns of one with `id_column` and `label_column`" if verdicts else ""
    return (
        f"{shown(around.tree.root)}: neither folders nor a table give labels: (1) folders: "
        f"{others or no_folders}; (2) tables: {tables or 'there is no .csv or .tsv file'}; sort the images "
        f"into a folder per class, or add a table with a column of file names and one of labels{way_out}"
    )


def _single(around: Surroundings, tables: Sequence[LabelTable]) -> LabelTable:
    _refuse_several(around, tables)
    return tables[0]


def _refuse_several(around: Surroundings, tables: Sequence[LabelTable], otherwise: str = "") -> None:
    if len(tables) > 1:
        refuse_parts(tables, around)
        paths = (file.path for table in tables for file in table.table.by_file)
        names = ", ".join(shown(_within(path, around.tree.root)) for path in paths)
        raise InputError(
            f"{shown(around.tree.root)}: several tables give labels, {names}: name one with `labels=FILE`"
            f"{otherwise}",
            options=("labels",),
        )


def _within(path: Path, root: Path) -> str:
    """Return the path of a table as an option can name it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _against(verdict: Verdict, folders: ClassFolders, around: Surroundings) -> Verdict:
    """Compare a table of labels with the class folders; take it from the race if it does not win.

    One that contradicts the folders, and is not complete, becomes a problem.
    """
    table = verdict.labels
    if table is None:
        return verdict
    label_of = {name: label for label, name in folders.rows}
    both = [
        (label_of[name], label)
        for name, label in zip(table.files, table.labels, strict=True)
        if name in label_of
    ]
    agree = all(of_folder == of_table for of_folder, of_table in both)
    if len(both) == len(label_of) and (agree or _is_sure(table, around)):
        return verdict
    if agree and both and _is_official(table, folders):
        return verdict
    if agree:
        how_many = f"{len(both):,} of the {len(label_of):,}" if both else "none of the"
        reason = f"it names {how_many} images in the class folders"
        return replace(verdict, kind=Kind.OTHER, reason=reason, labels=None)
    reason = (
        f"{table.table.where}: names {len(both):,} of {counted(len(label_of), 'image')} in the folders "
        f"{_few(folders)}, with other labels than their names"
    )
    return replace(verdict, kind=Kind.PROBLEM, reason=reason, labels=None, named=frozenset(table.files))


def _is_sure(table: LabelTable, around: Surroundings) -> bool:
    """Return whether the columns of labels are known by their names, or by that of the file.

    An object of JSON has the same columns whatever its values are.
    """
    of_json = table.path.suffix.lower() in JSON_SUFFIXES and table.table.columns == OF_OBJECT
    if of_json and not is_named_like_labels(table.path.stem):
        return False
    wanted = around.options.label_column
    names = table.label_columns
    by_sample = {name.casefold() for name in around.sample.others}
    known = all(is_usual_label(name) or name.casefold() in by_sample for name in names)
    return wanted is not None or known or len(names) > 1


def _is_official(table: LabelTable, folders: ClassFolders) -> bool:
    """Return whether a table and the folders are the training part of one dataset, as Kaggle publishes it."""
    return role_of(table.path.stem) is Role.TRAIN and all(
        role_of(last(base)) is Role.TRAIN for base in folders.bases
    )


def _refuse_problems(verdicts: Sequence[Verdict], images: frozenset[str]) -> None:
    """Refuse a table that was not understood, unless it names other images only."""
    for verdict in verdicts:
        if verdict.kind is Kind.PROBLEM and (not verdict.named or verdict.named & images):
            first, _, details = verdict.reason.partition("\n")
            raise InputError("\n".join((f"{first}; {_WAY_OUT}", *details.splitlines())), options=_OPTIONS)


def _few(folders: ClassFolders) -> str:
    names = list(dict.fromkeys(label for label, _ in folders.rows))
    return ", ".join(map(shown, names[:3])) + (", …" if len(names) > 3 else "")  # noqa: PLR2004
