"""Input and output of `tune-paddy predict`: image arguments, and predictions as a table."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.tree import is_file, list_images
from tune_paddy.data.system.files import similar_files
from tune_paddy.data.system.text import shown
from tune_paddy.data.tables.csv_table import format_csv

if TYPE_CHECKING:
    from tune_paddy.serving.ensemble_model import Answer  # imports torch, which parsing need not wait for

COLUMNS = ("file", "label", "probability", "second", "second_probability", "third", "third_probability")
TOP = 3


def find_images(arguments: Sequence[str]) -> list[str]:
    """Return the image files that files, folders (recursively) and patterns name, without duplicates.

    A file given by name is accepted whatever its suffix. Files in folders are filtered by suffix.

    Raises:
        InputError: An argument is empty, does not exist or matches no image.
    """
    found: dict[str, None] = {}
    for argument in arguments:
        if not argument:  # as a path it would be the working folder
            raise InputError("an image argument is empty: give files, folders or patterns")
        files = _at(argument) or [file for match in _matches(argument) for file in _at(match)]
        if not files:
            problem = "holds no image, or there is no such file or folder"
            raise InputError(f"{shown(argument)}: {problem}{similar_files(Path(argument))}")
        found |= dict.fromkeys(files)
    return list(found)


def _at(place: str) -> list[str]:
    """Return the file, or the images of a folder; nothing for a pipe, a device or a broken link."""
    path = Path(place)
    if is_file(path):
        return [place]
    return list_images(path)[1] if path.is_dir() else []


def _matches(pattern: str) -> list[str]:
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 a pattern may be absolute


def as_csv(files: Sequence[str], answer: "Answer") -> bytes:
    """Return the predictions as CSV, without unreadable images; the output is deterministic.

    With one class an image the decision comes first, then the likeliest others. With several labels an image
    the decided ones are joined, and the probability of each label follows.
    """
    if answer.task.independent:
        return _several_labels(files, answer)
    rows: list[Sequence[str]] = [COLUMNS[: 1 + 2 * min(TOP, len(answer.classes))]]
    labels = answer.labels()
    for row, file in enumerate(files):
        if row not in answer.broken:
            ranking = answer.top(row, len(answer.classes))
            first = sorted(ranking, key=lambda pair: pair[0] != labels[row])[:TOP]
            pairs = [(label, f"{probability:.6f}") for label, probability in first]
            rows.append([file, *(text for pair in pairs for text in pair)])
    return format_csv(rows)


def _several_labels(files: Sequence[str], answer: "Answer") -> bytes:
    rows: list[Sequence[str]] = [("file", "labels", *answer.classes)]
    for row, (file, label) in enumerate(zip(files, answer.labels(), strict=True)):
        if row not in answer.broken:
            rows.append([file, label, *(f"{value:.6f}" for value in answer.probs[row].tolist())])
    return format_csv(rows)
