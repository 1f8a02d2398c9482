"""Recognise folders and files that this program wrote, so that they are never read as somebody's data.

New folders get a marker file. Folders of earlier versions are recognised by the files that only they have.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from tune_paddy.core.tasks.names import SEPARATOR
from tune_paddy.data.system.files import write_atomically

MARKER = ".tune_paddy-output"
"""File that marks a folder of results: a search, an export, an artifact store."""

SAMPLE_MARKER = ".tune_paddy-sample"
"""File that marks a folder of sample images that this program wrote: a dataset, but nobody's classes."""

_TEXT = b"Written by tune_paddy. A dataset around this folder does not include its files.\n"

_SEARCH = frozenset(("split.json", "images.csv"))
"""Files that only the folder of a search holds."""

_OUTPUTS = (
    frozenset((MARKER,)),
    _SEARCH,
    frozenset(("ensemble.json",)),  # a selection
    frozenset(("MLmodel",)),  # an exported or logged model
    frozenset(("tune_paddy_bundle.json",)),
)
"""Sets of file names; a folder with all names of one set holds results."""

_DATASETS = (
    frozenset((SAMPLE_MARKER,)),
    frozenset((".fetched.json",)),  # a download of `data fetch`
    frozenset(("test_labels.csv", "train.csv", "train_images")),  # the demo's digits
)
"""The same for datasets that this program wrote or downloaded."""

_MLFLOW = re.compile(r"(m-|tr-)?[0-9a-f]{32}")
"""Folder of a run, a logged model or a trace of MLflow."""
_DATABASE = re.compile(r"mlflow\.db(\.lock|-wal|-shm|-journal)?")
_ANSWERS = ("file", "label", "probability", "second", "second_probability")
"""First columns of the answers of `tune-paddy predict`."""
_SEVERAL = ("file", "labels")
"""The same for several labels an image; a column of probabilities of each label follows."""
_SUSPECTS = ("id", "given", "likelier", "label", "confirmed")
"""First columns of the table that `tune-paddy data doctor` writes and a person edits."""
_IMAGES = ("part", "id", "label", "sha256")
"""Columns of the table of images in the folder of a search."""
_FRACTION = re.compile(r"[01]\.\d{6}")
"""Probability as the answers write it."""


def mark_output(folder: Path) -> None:
    """Create a folder if it is missing, and mark it as written by this program, with all that it holds.

    A folder that holds other files already is not marked: they may be somebody's images.

    Raises:
        TunePaddyError: The marker cannot be written.
    """
    if not folder.exists() or not any(folder.iterdir()):
        write_atomically(folder / MARKER, _TEXT)


def mark_sample(folder: Path) -> None:
    """Mark an existing folder as a sample dataset of this program.

    Raises:
        TunePaddyError: The marker cannot be written.
    """
    if not (folder / SAMPLE_MARKER).exists():
        write_atomically(folder / SAMPLE_MARKER, _TEXT)


def is_output(name: str, entries: Collection[str]) -> bool:
    """Return whether a folder holds results of this program or of MLflow.

    Args:
        name: Name of the folder.
        entries: Names of the files and folders in it.
    """
    there = frozenset(entries)
    is_mlflow = _MLFLOW.fullmatch(name) is not None and "artifacts" in there
    return is_mlflow or any(names <= there for names in _OUTPUTS)


def is_search(entries: Collection[str]) -> bool:
    """Return whether a folder is that of a search.

    Args:
        entries: Names of the files and folders in it.
    """
    return MARKER in entries or frozenset(entries) >= _SEARCH


def is_own_dataset(entries: Collection[str]) -> bool:
    """Return whether a folder is a dataset that this program wrote or downloaded.

    Args:
        entries: Names of the files and folders in it.
    """
    there = frozenset(entries)
    return any(names <= there for names in _DATASETS)


def is_record(name: str) -> bool:
    """Return whether a file name is that of the default MLflow database or a file beside it.

    >>> is_record("mlflow.db-wal"), is_record("labels.db")
    (True, False)
    """
    return _DATABASE.fullmatch(name) is not None


def table_kind(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return what a table is that this program wrote, for a person; "": somebody else's.

    Args:
        columns: Names of its columns.
        rows: Its first rows, [rows][columns].
    """
    if tuple(columns)[: len(_SUSPECTS)] == _SUSPECTS:
        return "suspects of tune-paddy data doctor"
    if tuple(columns) == _IMAGES:
        return "images of a search"
    return "answers of tune-paddy predict" if are_answers(columns, rows) else ""


def are_answers(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether a table holds the answers of `tune-paddy predict`.

    Args:
        columns: Names of its columns.
        rows: Its first rows, [rows][columns]; they tell answers with several labels from a person's table.
    """
    if tuple(columns)[: len(_ANSWERS)] == _ANSWERS:
        return True
    if tuple(columns)[: len(_SEVERAL)] != _SEVERAL or len(columns) == len(_SEVERAL):
        return False
    classes = set(columns[len(_SEVERAL) :])
    return all(
        set(filter(None, row[1].split(SEPARATOR))) <= classes
        and all(map(_FRACTION.fullmatch, row[len(_SEVERAL) :]))
        for row in rows
    )
