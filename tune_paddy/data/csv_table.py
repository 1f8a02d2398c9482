"""CSV files as text, with the line number of every row for error messages."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.files import read_file
from tune_paddy.data.system.text import shown

MAX_MIB = 128
"""Maximum file size, in MiB: two million images. Reading takes up to forty times as much memory."""

SEPARATORS = ",;\t|"
"""Separators of columns that `read_table` detects, in order of preference."""

_SPECIAL = frozenset(',"\r\n')
_SAMPLED = 2**16


@dataclass(frozen=True)
class CsvTable:
    """Table of text values.

    Attributes:
        path: Path of the file.
        columns: Column names, stripped.
        rows: [rows][columns], values as written: `NA` and numbers stay text.
        lines: [rows], the line on which each row ends, counted from 1.
        separator: Separator of the columns.
        encoding: Encoding of the file, Python's name.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    separator: str = ","
    encoding: str = "utf-8"

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
        raise _undecodable(path, error) from error


def read_table(path: Path) -> CsvTable:
    """Read a table like `read_csv`, and detect its separator and its encoding.

    The separator is one of `SEPARATORS`. The encoding is UTF-8, UTF-16 or, if the file has no valid sequence
    of UTF-8, Windows-1252 (Latin-1).

    Raises:
        InputError: The file cannot be read, mixes encodings, or has no rectangular table with a header.
    """
    content = read_file(path, most=MAX_MIB, what="a table")
    text, encoding = _decode(path, content)
    return _parse(path, text, separator=_separator(text), encoding=encoding)


def _decode(path: Path, content: bytes) -> tuple[str, str]:
    """Return the text of a file and its encoding."""
    encoding = _utf_16(content) or "utf-8-sig"
    try:
        return content.decode(encoding).removeprefix("\ufeff"), encoding.removesuffix("-sig")
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig" or _has_utf_8(content):
            raise _undecodable(path, error) from error
    return content.decode("cp1252", errors="replace"), "cp1252"


def _utf_16(content: bytes) -> str | None:
    """Return the variant of UTF-16 by the byte order mark, or by the zero bytes of a header in ASCII."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = content[:64]
    first, second = start[::2], start[1::2]
    if second and not any(second) and all(first):
        return "utf-16-le"
    return "utf-16-be" if second and not any(first) and all(second) else None


def _has_utf_8(content: bytes) -> bool:
    """Return whether bytes that are not UTF-8 as a whole hold characters of it outside ASCII."""
    return any(not letter.isascii() for letter in content.decode(errors="ignore"))


def _undecodable(path: Path, error: UnicodeDecodeError) -> InputError:
    line = error.object[: error.start].count(b"\n") + 1
    return InputError(
        f"{shown(path)}:{line}: byte 0x{error.object[error.start]:02x} is not UTF-8: save the file as UTF-8"
    )


def _separator(text: str) -> str:
    """Return the separator with which the first rows have the most columns, and equally many.

    If no separator gives two columns or more, the header alone decides: a row is then of another length.
    """
    start = text[:_SAMPLED]
    if len(text) > _SAMPLED:
        start = start[: start.rfind("\n") + 1] or start
    for part in (start, start.lstrip().partition("\n")[0]):
        widths = {separator: _width(part, separator) for separator in SEPARATORS}
        if max(widths.values()) > 1:
            break
    return max(SEPARATORS, key=lambda separator: widths[separator])


def _width(text: str, separator: str) -> int:
    """Return the number of columns of the first rows, or 0 if it differs."""
    found: set[int] = set()
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            found |= {len(row)} if row else set()
            if len(found) > 1:
                return 0
    except csv.Error:
        return 0
    return next(iter(found), 0)


def format_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """Format rows as CSV: UTF-8, line feeds, quotes only where needed.

    Python's writer leaves a lone carriage return unquoted, which readers take for a line end.
    """
    return "".join(",".join(map(_quote, row)) + "\n" for row in rows).encode()


def _quote(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if not _SPECIAL.isdisjoint(value) else value


def _parse(path: Path, text: str, *, separator: str = ",", encoding: str = "utf-8") -> CsvTable:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
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
    return CsvTable(path, columns, tuple(rows[1:]), tuple(lines[1:]), separator, encoding)


def _check_shape(
    path: Path, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], lines: Sequence[int]
) -> None:
    twice = next((name for name, count in Counter(columns).items() if name and count > 1), None)
    if twice is not None:
        raise InputError(f"{shown(path)}:{lines[0]}: duplicate column '{shown(twice)}'")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(columns):
            raise InputError(f"{shown(path)}:{line}: has {len(row)} values, expected {len(columns)}")
