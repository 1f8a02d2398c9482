"""Tables of labels of the parts to train on, such as `train.csv` beside `val.csv`, read as one table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.by_table.columns import find_id_column, given_column
from tune_paddy.data.layouts.by_table.images import Surroundings, find_files, recognises
from tune_paddy.data.layouts.by_table.local_paths import read_local
from tune_paddy.data.layouts.by_table.tables import (
    ROWS_APART,
    TO_PREDICT,
    Kind,
    LabelTable,
    Verdict,
    named_images,
    read_ids,
    read_values,
)
from tune_paddy.data.layouts.index import has_suffix, lies_in, without_suffix
from tune_paddy.data.layouts.names import Role, roles_of
from tune_paddy.data.system.text import shown
from tune_paddy.data.tables.csv_table import CsvTable, find_name, join_tables

_ORDER = (Role.TRAIN, Role.FOLD, Role.VALIDATION)
"""Parts to train on, in the order of their rows."""

_SIDES = ("group", "split_column")
"""Options that name a column which every part needs."""


@dataclass(frozen=True, eq=False)
class _Part:
    """Table of a part.

    Attributes:
        role: Role of the part.
        table: The table.
        used: Its columns of ids and labels; empty if they cannot be told from it alone.
    """

    role: Role
    table: CsvTable
    used: frozenset[str]


def join_parts(verdicts: Sequence[Verdict], around: Surroundings) -> tuple[Verdict, ...]:
    """Join the tables of labels that stand for different parts to train on.

    A table that is not understood alone, or has another label in each row, counts if its columns are those of
    one that is: a small part may hold a single image of each class.

    Args:
        verdicts: What the tables of the dataset are.
        around: Files around them.

    Returns:
        The verdicts. Those of joined tables have the same table of labels, and the labels of a test part
        beside them are not used. Tables that cannot be joined stay as they are: `refuse_parts` says why,
        where no other source of labels is chosen.
    """
    told = _told([verdict.name for verdict in verdicts if _may_count(verdict)], around.base)
    parts = _with_known_columns(verdicts, _to_train_on(told), around)
    if len(parts) < 2:  # noqa: PLR2004 nothing to join
        return tuple(verdicts)
    try:
        joined = _join(list(parts.values()), around)
    except InputError as error:
        return tuple(_as_problem(one, parts.get(one.name), error, around) for one in verdicts)
    if not all(map(lies_in([around.within or ""]), joined.files)):
        return tuple(verdicts)
    found = {name: Verdict(name, Kind.LABELS, labels=joined) for name in parts}
    found |= {name: _of_test(name, of) for name, (role, of) in told.items() if role is Role.TEST}
    return tuple(found.get(one.name, one) for one in verdicts)


def _as_problem(verdict: Verdict, part: _Part | None, error: InputError, around: Surroundings) -> Verdict:
    """Return the verdict on a table that holds no labels alone and cannot be joined: its images need some."""
    column = None if part is None or part.used else _images_column(part, around)
    if part is None or column is None:
        return verdict
    named = named_images(part.table, column, around, part.role)
    return Verdict(verdict.name, Kind.PROBLEM, str(error), named=named)


def _of_test(name: str, folder: str) -> Verdict:
    """Return what a table of a test part is: one that has the name of the part lists images to predict."""
    return Verdict(name, Kind.OTHER, TO_PREDICT) if folder else Verdict(name, Kind.TEST)


def refuse_parts(tables: Sequence[LabelTable], around: Surroundings) -> None:
    """Say why tables cannot be joined, if they stand for different parts to train on.

    Args:
        tables: Tables of labels.
        around: Files around them.

    Raises:
        InputError: Their columns differ, two of them name the same image, or their labels are not clear.
    """
    root = around.tree.root
    if any(table.table.joined or not table.path.is_relative_to(root) for table in tables):
        return
    by_name = {table.path.relative_to(root).as_posix(): table for table in tables}
    roles = _to_train_on(_told(list(by_name), around.base))
    if len(roles) == len(tables):
        _join([_Part(roles[name], table.table, _used(table)) for name, table in by_name.items()], around)


def parts_to_train_on(names: Sequence[str], base: str) -> list[str]:
    """Return the tables of different parts to train on; [] if a table stands for none, or two for the same.

    Args:
        names: Paths of tables relative to the tree; those of test parts are passed over.
        base: Folder that holds the dataset.
    """
    told = _told(names, base)
    return list(_to_train_on(told)) if len(told) == len(names) else []


def _may_count(verdict: Verdict) -> bool:
    """Return whether a table holds labels of images, or may hold them together with another one."""
    unclear = verdict.kind is Kind.PROBLEM and bool(verdict.named)
    return verdict.labels is not None or unclear or verdict.reason == ROWS_APART


def _with_known_columns(
    verdicts: Sequence[Verdict], roles: dict[str, Role], around: Surroundings
) -> dict[str, _Part]:
    """Return the tables of parts by name, without those whose columns no table explains."""
    parts = {
        one.name: _Part(roles[one.name], one.labels.table, _used(one.labels))
        for one in verdicts
        if one.name in roles and one.labels is not None
    }
    known = [frozenset(part.table.columns) for part in parts.values()]
    for name, role in roles.items() if known else ():
        if name not in parts:
            table = read_local(around.tree.path(name), around, role)
            if frozenset(table.columns) in known:
                parts[name] = _Part(role, table, frozenset())
    return parts


def _used(table: LabelTable) -> frozenset[str]:
    return frozenset((table.id_column, *table.label_columns))


def _told(names: Sequence[str], base: str) -> dict[str, tuple[Role, str]]:
    """Return the parts that tables stand for, by their own names, or by those of the nearest folders.

    Args:
        names: Paths of tables relative to the tree.
        base: Folder that holds the dataset.

    Returns:
        Path → role, and the folder that tells it; "": the table's own name does.
    """
    inside = [PurePosixPath(name).relative_to(base or ".") for name in names]
    stems = roles_of(path.stem for path in inside)
    folders = roles_of(folder for path in inside for folder in path.parent.parts)
    found: dict[str, tuple[Role, str]] = {}
    for name, path in zip(names, inside, strict=True):
        told = next((folder for folder in path.parents if folder.name in folders), None)
        if path.stem in stems:
            found[name] = stems[path.stem], ""
        elif told is not None:
            found[name] = folders[told.name], str(told)
    return found


def _to_train_on(told: dict[str, tuple[Role, str]]) -> dict[str, Role]:
    """Return path → role of the tables of parts to train on; empty if two of them stand for one part.

    Two versions of `train.csv` do.
    """
    found = {name: (role, folder) for name, (role, folder) in told.items() if role in _ORDER}
    return {name: role for name, (role, _) in found.items()} if _are_apart(list(found.values())) else {}


def _are_apart(parts: Sequence[tuple[Role, str]]) -> bool:
    """Return whether no part of (role, folder) occurs twice, whatever its folder if its table names it."""
    alone = [role for role, folder in parts if not folder]
    roles = [role for role, _ in parts]
    told = Role.FOLD not in alone  # a fold needs a folder, whose images it names
    return told and len(set(parts)) == len(parts) and all(roles.count(role) == 1 for role in alone)


def _join(parts: Sequence[_Part], around: Surroundings) -> LabelTable:
    """Read the tables of several parts as one.

    Raises:
        InputError: They differ in their columns, name the same image, or are not valid.
    """
    parts = sorted(parts, key=lambda part: _ORDER.index(part.role))
    table = join_tables([part.table for part in parts])
    column = _id_column(parts, table, around)
    columns, read = read_values(table, around, column)
    if any(part.used - {column, *columns} for part in parts) and not _same_header(parts):
        raise _differ(table)
    _check_sides(parts, around)
    files = list(_files(parts, column, read.texts, around))
    _check_distinct(table, files, read.texts)
    names = table.column(column)
    ids = names if len(set(names)) == len(names) else _paths(names, files, around.base)
    of_validation = [part.table for part in parts if part.role is Role.VALIDATION]
    validation = tuple(map(table.name_of, of_validation))
    return LabelTable(table, column, columns, ids, read, files, validation)


def _same_header(parts: Sequence[_Part]) -> bool:
    return len({frozenset(part.table.columns) for part in parts}) == 1


def _id_column(parts: Sequence[_Part], table: CsvTable, around: Surroundings) -> str:
    """Return the column that names the images in each part."""
    found = {_images_column(part, around) for part in parts}
    column = found.pop()
    if found or column not in table.columns or any(part.used - {*table.columns} for part in parts):
        raise _differ(table)
    return column


def _images_column(part: _Part, around: Surroundings) -> str | None:
    """Return the column of a table that names images, first those of its part."""
    is_image = recognises(part.table.path, around, part.role)
    return find_id_column(part.table, is_image, wanted=around.options.id_column, sample=around.sample)


def _differ(table: CsvTable) -> InputError:
    """Return the refusal of tables whose columns differ."""
    columns = " and ".join(
        f"{', '.join(map(shown, file.columns))} in {table.name_of(file)}" for file in table.by_file
    )
    return InputError(
        f"{table.where}: give the labels of a part each, but their columns differ ({columns}): name them "
        "alike, or name one table with `labels=FILE`",
        options=("labels",),
    )


def _check_sides(parts: Sequence[_Part], around: Surroundings) -> None:
    """Refuse a part without a column that an option names and another part has."""
    for option in _SIDES:
        name = getattr(around.options, option)
        if name is not None and any(find_name(part.table.columns, [name.strip()]) for part in parts):
            for part in parts:
                given_column(part.table, name, option)


def _files(parts: Sequence[_Part], column: str, labels: Sequence[str], around: Surroundings) -> Iterator[str]:
    """Yield the image of each row, part by part: each has its own folder, in which names are looked up."""
    start = 0
    for part in parts:
        ids = read_ids(part.table, column)
        own = labels[start : start + len(ids)]
        yield from find_files(part.table, ids, around, labels=own, part=part.role)
        start += len(ids)


def _check_distinct(table: CsvTable, files: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse an image that two parts name."""
    rows: dict[str, int] = {}
    for row, file in enumerate(files):
        first = rows.setdefault(file, row)
        if first != row:
            same = labels[first] == labels[row]
            both = "with the same label" if same else f"as {shown(labels[first])} and as {shown(labels[row])}"
            raise InputError(
                f"{table.place(first)} and {table.place(row)}: name the image {shown(file)} twice, {both}: "
                "keep one of the rows, or name one table with `labels=FILE`",
                options=("labels",),
            )


def _paths(names: Sequence[str], files: Sequence[str], base: str) -> list[str]:
    """Return ids that tell the images of all parts apart: paths below the dataset's folder."""
    start = f"{base}/" if base else ""
    paths = [file.removeprefix(start) for file in files]
    return [
        path if has_suffix(name) else without_suffix(path) for name, path in zip(names, paths, strict=True)
    ]
