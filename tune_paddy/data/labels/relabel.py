"""Corrected labels from a table, such as the one that `tune-paddy data doctor` writes and a person edits."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.arguments.suggestions import did_you_mean
from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import SEPARATOR
from tune_paddy.core.tasks.task import Task
from tune_paddy.data.labels.separator import any_separator
from tune_paddy.data.labels.texts import join_labels, shown_label, split_value
from tune_paddy.data.system.text import counted, listed, shown
from tune_paddy.data.tables.csv_table import CsvTable, read_table

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


@dataclass(frozen=True)
class Wording:
    """How a dataset writes labels.

    Attributes:
        task: What the labels are.
        classes: Names of the classes.
        separator: Separator of several labels in the dataset's table, accepted beside `|`; empty: none.
    """

    task: Task
    classes: tuple[str, ...]
    separator: str = ""

    @classmethod
    def of_labels(cls, task: Task, classes: tuple[str, ...], labels: Iterable[str]) -> "Wording":
        """Return the wording of labels whose dataset is not at hand: what separates them is detected.

        Args:
            task: What the labels are.
            classes: Names of the classes.
            labels: Labels as a person may write them.
        """
        unclear = [label for label in labels if SEPARATOR not in label and label.strip() not in classes]
        return cls(task, classes, any_separator(unclear))

    def names(self, label: str) -> list[str]:
        """Return the classes that a label names, as they are written."""
        if not self.task.independent or label.strip() in self.classes:
            return [label.strip()] if label.strip() else []
        return split_value(label, SEPARATOR if SEPARATOR in label else self.separator or SEPARATOR)

    def text(self, label: str) -> str:
        """Return a label as the dataset has it: several in the order of their names."""
        return join_labels(self.names(label))

    def odd(self, label: str) -> str | None:
        """Return the first name in a label that is no class, "" if it needs one, otherwise None."""
        names = self.names(label)
        if not names and not self.task.independent:
            return ""
        return next((one for one in names if one not in self.classes), None)


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


def correct_labels(path: Path, labels: Mapping[str, str], wording: Wording) -> tuple[dict[str, str], str]:
    """Read a table of corrected labels, check it against a dataset, and apply it.

    Args:
        path: Path of the table, see `parse_corrections`.
        labels: Id → label of each labelled image of the dataset.
        wording: How the dataset writes labels.

    Returns:
        Id → corrected label of each labelled image, and a note on the changes.

    Raises:
        InputError: A column is missing, an image is unknown or there twice, a label is no class, or empty
            where an image needs one, or the dataset has another label than when the table was written.
    """
    table, values = _read(path)
    problems = list(_problems(table, values, labels, wording))
    if problems:
        raise InputError(
            f"{shown(path)}: {counted(len(problems), 'row')} cannot be used: correct or remove them"
            f"{listed(problems, len(problems))}",
            options=("relabel",),
        )
    now = {name: wording.text(label) for name, label in zip(values[ID], values[LABEL], strict=True)}
    return {**labels, **now}, _changes(path, labels, now)


def _changes(path: Path, labels: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return a note on the labels that a table changes, the first ones by name."""
    changed = [name for name, label in labels.items() if now.get(name, label) != label]
    texts = [
        f"{shown(name)} {shown_label(labels[name])} → {shown_label(now[name])}"
        for name in changed[:_EXAMPLES]
    ]
    more = ", …" if len(changed) > _EXAMPLES else ""
    note = f"{shown(path.name)}: {counted(len(changed), 'label')} changed"
    return f"{note}: {', '.join(texts)}{more}" if changed else note


def _read(path: Path) -> tuple[CsvTable, dict[str, list[str]]]:
    """Return a table and its columns by their usual names; optional ones that are missing are empty."""
    table = read_table(path)
    needed = {name: table.column(table.need_column((name,))) for name in (ID, LABEL)}
    found = {name: table.find_column((name,)) for name in (GIVEN, CONFIRMED)}
    empty = [""] * len(table.lines)
    return table, needed | {
        name: empty if column is None else table.column(column) for name, column in found.items()
    }


def _problems(
    table: CsvTable, values: dict[str, list[str]], labels: Mapping[str, str], wording: Wording
) -> Iterator[str]:
    """Yield what is wrong with the rows, one text each."""
    seen = set[str]()
    rows = zip(values[ID], values[LABEL], values[GIVEN], strict=True)
    for row, (name, label, before) in enumerate(rows):
        problem = "is there twice" if name in seen else _problem(name, label, before, labels, wording)
        seen.add(name)
        if problem:
            yield f"line {table.lines[row]}: {shown(name)} {problem}"


def _problem(name: str, label: str, before: str, labels: Mapping[str, str], wording: Wording) -> str:
    """Return what is wrong with a row; "": nothing is."""
    if name not in labels:
        return "is no labelled image of the dataset"
    odd = wording.odd(label)
    if odd == "":
        return "has no label"
    if odd is not None:
        meant = did_you_mean(odd, wording.classes)
        return f"has the label {shown(odd)}, which is no class of the dataset{meant}"
    if before and labels[name] not in (wording.text(before), wording.text(label)):
        return (
            f"has the label {shown_label(labels[name])} in the dataset, but had {shown(before)} for the table"
        )
    return ""
