"""CSV files as text, with the line number of every row for error messages."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.files import read_file
from tune_paddy.data.system.text import shown

MAX_MIB = 128
"""Maximum file size, in MiB: two million images. Reading takes up to forty times as much memory."""

_SPECIAL = frozenset(',"\r\n')


@dataclass(frozen=True)
class CsvTable:
    """Table of text values.

    Attributes:
        path: Path of the file.
        columns: Column names, stripped.
        rows: [rows][columns], values as written: `NA` and numbers stay text.
        lines: [rows], the line on which each row ends, counted from 1.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> list[str]:
        """Return the values of a column, [rows]."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]

    def find_column(self, names: Sequence[str]) -> str | None:
        """Return the column that matches the first of `names`, ignoring case; None if there is none."""
        by_name = {column.casefold(): column for column in reversed(self.columns)}
        return next((by_name[name] for name in names if name in by_name), None)

    def need_column(self, names: Sequence[str]) -> str:
        """Return the result of `find_column`.

        Raises:
            InputError: No column matches.
        """
        column = self.find_column(names)
        if column is None:
            there = ", ".join(shown(column) for column in self.columns)
            raise InputError(
                f"{shown(self.path)}:1: no column is called {' or '.join(names)}; the columns are {there} "
                "(columns are separated by commas)"
            )
        return column

    def place(self, row: int) -> str:
        """Return file and line of a row, for a message."""
        return f"{shown(self.path)}:{self.lines[row]}"


def read_csv(path: Path) -> CsvTable:
    """Read a CSV file with a header line, in UTF-8 with or without a byte order mark.

    Raises:
        InputError: The file cannot be read, is not UTF-8, has no header, no rows or duplicate columns, or a
            row has more or fewer values than the header.
    """
    try:
        return _parse(path, read_file(path, most=MAX_MIB, what="a table").decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            f"{shown(path)}:{line}: byte 0x{error.object[error.start]:02x} is not UTF-8: "
            "save the file as UTF-8"
        ) from error


def format_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """Format rows as CSV: UTF-8, line feeds, quotes only where needed.

    Python's writer leaves a lone carriage return unquoted, which readers take for a line end.
    """
    return "".join(",".join(map(_quote, row)) + "\n" for row in rows).encode()


def _quote(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if not _SPECIAL.isdisjoint(value) else value


def _parse(path: Path, text: str) -> CsvTable:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if row:
                rows.append(tuple(row))
                lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{shown(path)}:{reader.line_num}: is not valid CSV: {error}") from error
    if len(rows) < 2:  # noqa: PLR2004 the header and a row
        raise InputError(f"{shown(path)}: needs a header line and at least one row below it")
    columns = tuple(name.strip() for name in rows[0])
    _check_shape(path, columns, rows, lines)
    return CsvTable(path, columns, tuple(rows[1:]), tuple(lines[1:]))


def _check_shape(
    path: Path, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], lines: Sequence[int]
) -> None:
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{shown(path)}:{lines[0]}: duplicate column '{shown(twice)}'")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(columns):
            raise InputError(f"{shown(path)}:{line}: has {len(row)} values, expected {len(columns)}")
