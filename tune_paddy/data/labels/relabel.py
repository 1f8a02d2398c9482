"""Corrected labels from a table, such as the one that `tune-paddy data doctor` writes and a person edits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tune_paddy.core.arguments.suggestions import did_you_mean
from tune_paddy.core.errors import InputError
from tune_paddy.data.csv_table import CsvTable, read_table
from tune_paddy.data.layouts.listing import Listing
from tune_paddy.data.system.text import counted, listed, shown

ID, GIVEN, LABEL, CONFIRMED = "id", "given", "label", "confirmed"
"""Columns: image, label when the table was written, corrected label, and whether a person has checked it."""

_YES = frozenset(("1", "x", "y", "yes", "true", "ok"))
_EXAMPLES = 3


@dataclass(frozen=True)
class Correction:
    """A row of the table.

    Attributes:
        id: Image id.
        label: Corrected label; that of the dataset if it is right.
        confirmed: Whether a person has checked it.
    """

    id: str
    label: str
    confirmed: bool


def parse_corrections(path: Path) -> list[Correction]:
    """Read a table of corrected labels, without comparing it with a dataset.

    Args:
        path: Path of the table, with the columns `id` and `label`, and optionally `given` and `confirmed`.

    Raises:
        InputError: The file is no table, or a column is missing.
    """
    _, values = _read(path)
    return [
        Correction(name, label.strip(), mark.strip().casefold() in _YES)
        for name, label, mark in zip(values[ID], values[LABEL], values[CONFIRMED], strict=True)
    ]


def read_corrections(path: Path, labels: dict[str, str]) -> list[Correction]:
    """Read a table of corrected labels, and check it against a dataset.

    Args:
        path: Path of the table, see `parse_corrections`.
        labels: Id → label of each labelled image of the dataset.

    Raises:
        InputError: A column is missing, an image is unknown or there twice, a label is empty or no class, or
            the dataset has another label than when the table was written.
    """
    table, values = _read(path)
    problems = list(_problems(table, values, labels))
    if problems:
        raise InputError(
            f"{shown(path)}: {counted(len(problems), 'row')} cannot be used: correct or remove them"
            f"{listed(problems, len(problems))}",
            options=("relabel",),
        )
    return parse_corrections(path)


def _read(path: Path) -> tuple[CsvTable, dict[str, list[str]]]:
    """Return a table and its columns by their usual names; optional ones that are missing are empty."""
    table = read_table(path)
    needed = {name: table.column(table.need_column((name,))) for name in (ID, LABEL)}
    found = {name: table.find_column((name,)) for name in (GIVEN, CONFIRMED)}
    empty = [""] * len(table.lines)
    return table, needed | {
        name: empty if column is None else table.column(column) for name, column in found.items()
    }


def _problems(table: CsvTable, values: dict[str, list[str]], labels: dict[str, str]) -> Iterator[str]:
    """Yield what is wrong with the rows, one text each."""
    classes, seen = sorted(set(labels.values())), set[str]()
    rows = zip(values[ID], values[LABEL], values[GIVEN], strict=True)
    for row, (name, label, before) in enumerate(rows):
        problem = _problem(name, label.strip(), before, labels, classes)
        if name in seen:
            problem = "is there twice"
        seen.add(name)
        if problem:
            yield f"line {table.lines[row]}: {shown(name)} {problem}"


def _problem(name: str, label: str, before: str, labels: dict[str, str], classes: Sequence[str]) -> str:
    """Return what is wrong with a row; "": nothing is."""
    if name not in labels:
        return "is no labelled image of the dataset"
    if not label:
        return "has no label"
    if label not in classes:
        return f"has the label {shown(label)}, which is no class of the dataset{did_you_mean(label, classes)}"
    if before and labels[name] not in (before, label):
        return f"has the label {shown(labels[name])} in the dataset, but had {shown(before)} for the table"
    return ""


def relabel(listing: Listing, path: Path) -> Listing:
    """Return a dataset's images with corrected labels, and a note on the changes.

    Raises:
        InputError: As `read_corrections`.
    """
    frame = listing.labelled
    before = dict(zip(frame["id"], frame["label"], strict=True))
    now = before | {row.id: row.label for row in read_corrections(path, before)}
    changed = [name for name, label in before.items() if now[name] != label]
    texts = [f"{shown(name)} {shown(before[name])} → {shown(now[name])}" for name in changed[:_EXAMPLES]]
    more = ", …" if len(changed) > _EXAMPLES else ""
    note = f"{shown(path.name)}: {counted(len(changed), 'label')} changed"
    if changed:
        note = f"{note}: {', '.join(texts)}{more}"
    return replace(
        listing,
        labelled=frame.assign(label=[now[name] for name in frame["id"]]),
        notes=(*listing.notes, note),
    )
