"""Datasets for tests of layouts: empty files in the place of images, tables, and what is detected."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.detect import list_dataset
from tune_paddy.data.options import ReadOptions

CLASSES = ("blast", "healthy", "tungro")


def make(root: Path, *names: str) -> None:
    """Create empty files."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def table(
    path: Path, rows: Iterable[Sequence[object]], separator: str = ",", encoding: str = "utf-8"
) -> None:
    """Write a table; the first row has the names of the columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(separator.join(map(str, row)) + "\n" for row in rows).encode(encoding))


def facts(root: Path, **options: Any) -> tuple[int, list[str], int]:
    """Numbers of labelled images, classes and images to predict."""
    listing = list_dataset(root, ReadOptions(**options))
    return len(listing.labelled), sorted(set(listing.labelled["label"])), len(listing.test)


def refusal(root: Path, **options: Any) -> str:
    """Return the message with which a dataset is refused."""
    with pytest.raises(InputError) as caught:
        list_dataset(root, ReadOptions(**options))
    return str(caught.value)


def left_out(root: Path, **options: Any) -> dict[str, int]:
    """Return kind → number of the files that are not read."""
    listing = list_dataset(root, ReadOptions(**options))
    return {kind.what: kind.count for kind in listing.left_out}
