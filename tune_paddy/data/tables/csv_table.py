"""Tables as text, with the line number of every row for error messages: CSV, also written in JSON."""

import codecs
import csv
import io
import os
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.files import read_file
from tune_paddy.data.system.text import shown
from tune_paddy.data.tables.json_rows import JSON_SUFFIXES, json_rows

MAX_MIB = 128
"""Maximum file size, in MiB: two million images. Reading takes up to thirty times as much memory."""

MAX_COLUMNS = 16_384
"""Maximum number of columns, as in spreadsheets."""

SEPARATORS = ",;\t|"
"""Separators of columns that `read_table` detects, in order of preference."""

_DECLARED = re.compile(r'"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)
"""First line of a spreadsheet's file that declares its separator."""
_LONGEST_DECLARATION = 32

_SPECIAL = frozenset(',"\r\n')
_SAMPLED = 2**16
_SHARED = 2**16
"""Number of distinct values that are stored once: labels repeat, ids do not."""


@dataclass(frozen=True)
class CsvTable:
    """Table of text values.

    Attributes:
        path: Path of the file.
        columns: Column names, stripped.
        values: [columns][rows], values as written: `NA` and numbers stay text.
        lines: [rows], the line on which each row ends, counted from 1.
        separator: Separator of the columns.
        encoding: Encoding of the file, Python's name.
        lost: Beginning of the paths of a column that was left out, since it is elsewhere; empty: none.
        joined: Tables whose rows these are, one table after another; empty: they are those of one file.
    """

    path: Path
    columns: tuple[str, ...]
    values: tuple[list[str], ...]
    lines: Sequence[int]
    separator: str = ","
    encoding: str = "utf-8"
    lost: str = ""
    joined: tuple["CsvTable", ...] = ()

    @property
    def by_file(self) -> tuple["CsvTable", ...]:
        """Table of each file."""
        return self.joined or (self,)

    @property
    def title(self) -> str:
        """Name of the file for a person; of several, the paths below the folder that holds them all."""
        *first, last = map(self.name_of, self.by_file)
        return f"{', '.join(first)} and {last}" if first else last

    @property
    def where(self) -> str:
        """Path of the file, for a message; of several, all of them."""
        return " and ".join(shown(table.path) for table in self.by_file)

    def name_of(self, file: "CsvTable") -> str:
        """Return the name in `title` of one of the files."""
        folder = os.path.commonpath([table.path.parent for table in self.by_file])
        return shown(file.path.relative_to(folder).as_posix())

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """Values as written, [rows][columns]."""
        return tuple(zip(*self.values, strict=True))

    def column(self, name: str) -> list[str]:
        """Return the values of a column, [rows]; they must not be changed."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        pairs = zip(reversed(self.columns), reversed(self.values), strict=True)
        return dict(pairs)  # of the columns without a name, the first one

    def find_column(self, names: Sequence[str]) -> str | None:
        """Return the column that matches the first of `names` in any spelling; None if there is none.

        Args:
            names: Names, in order of preference; case, blanks and signs between words do not count.
        """
        return find_name(self.columns, names)

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
        return f"{shown(self.file_of(row).path)}:{self.lines[row]}"

    def line(self, row: int) -> str:
        """Return the line of a row after `title`: with its file if there are several."""
        return f"line {self.lines[row]}" + (f" of {self.name_of(self.file_of(row))}" if self.joined else "")

    def file_of(self, row: int) -> "CsvTable":
        """Return the table of the file that has a row."""
        ends = accumulate(len(table.lines) for table in self.by_file)
        return next(table for table, end in zip(self.by_file, ends, strict=True) if row < end)


def join_tables(tables: Sequence[CsvTable]) -> CsvTable:
    """Return the rows of several tables as one table.

    Args:
        tables: Tables of files, one at least; the columns are those of the first one that all of them have.
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    columns = tuple(name for name in first.columns if all(name in table.columns for table in tables))
    return replace(
        first,
        columns=columns,
        values=tuple([*chain.from_iterable(table.column(name) for table in tables)] for name in columns),
        lines=array("L", chain.from_iterable(table.lines for table in tables)),
        joined=tuple(tables),
    )


def find_name(columns: Sequence[str], names: Iterable[str]) -> str | None:
    """Return the column that matches the first of `names` in any spelling; None if there is none.

    >>> find_name(["Path", "ClassId", "class_id"], ["label", "class_id"])
    'class_id'
    >>> find_name(["Image Name", "Class Label"], ["image_name"])
    'Image Name'
    """
    exact = {column.casefold(): column for column in reversed(columns)}
    loose = {_joined(column): column for column in reversed(columns) if _joined(column)}
    found = (exact.get(name.casefold()) or loose.get(_joined(name)) for name in names)
    return next(filter(None, found), None)


def _joined(name: str) -> str:
    """Return the letters and digits of a name in lower case, such as `classid` for `Class ID`."""
    return "".join(filter(str.isalnum, name.casefold()))


def read_csv(path: Path) -> CsvTable:
    """Read a CSV file with a header line, in UTF-8 with or without a byte order mark.

    Raises:
        InputError: The file cannot be read, is not UTF-8, has no header, no rows or duplicate columns, or a
            row has more or fewer values than the header.
    """
    content = read_file(path, most=MAX_MIB, what="a table")
    _check_decodable(path, content, "utf-8-sig")
    return _parse(path, content, _Form("utf-8-sig"))


def read_table(path: Path) -> CsvTable:
    """Read a table like `read_csv`, and detect its separator and its encoding.

    The separator is one of `SEPARATORS`, or what a first line such as `sep=;` of a spreadsheet declares. The
    encoding is UTF-8, UTF-16 or, if the file has no valid sequence of UTF-8, Windows-1252 (Latin-1). Blanks
    after a separator and rows of empty values do not count. A file named `.json` or like JSON Lines holds
    records, see `json_rows`.

    Raises:
        InputError: The file cannot be read, mixes encodings, or has no rectangular table with a header.
    """
    content, encoding = _read(path)
    if path.suffix.lower() in JSON_SUFFIXES:
        return _table(path, json_rows(path, _lines(content, encoding).read()), _Form(encoding))
    declared = _DECLARED.fullmatch(_lines(content, encoding).readline(_LONGEST_DECLARATION))
    if declared:
        return _parse(path, content, _Form(encoding, declared[1], skipped_lines=1, skips_blanks=True))
    return _parse(path, content, _Form(encoding, _separator(content, encoding), skips_blanks=True))


def read_decoded(path: Path) -> str:
    """Return the text of a file in an encoding that `read_table` detects.

    Raises:
        InputError: The file cannot be read, or mixes encodings.
    """
    content, encoding = _read(path)
    return _lines(content, encoding).read()


def _read(path: Path) -> tuple[bytes, str]:
    content = read_file(path, most=MAX_MIB, what="a table")
    return content, _encoding(path, content)


def _encoding(path: Path, content: bytes) -> str:
    """Return the encoding of a file that can be decoded with it."""
    encoding = _utf_16(content) or "utf-8-sig"
    try:
        _check_decodable(path, content, encoding)
    except InputError:
        if encoding != "utf-8-sig" or _has_utf_8(content):
            raise
        return "cp1252"
    return encoding


def _check_decodable(path: Path, content: bytes, encoding: str) -> None:
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{shown(path)}:{line}: byte 0x{content[error.start]:02x} is not UTF-8: save the file as UTF-8"
        ) from error


def _lines(content: bytes, encoding: str) -> io.TextIOWrapper:
    """Return the lines of a file with their ends, decoded one after another."""
    errors = "replace" if encoding == "cp1252" else "strict"
    return io.TextIOWrapper(io.BytesIO(content), encoding, errors, newline="")


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


def _separator(content: bytes, encoding: str) -> str:
    """Return the separator with which the first rows have the most columns, and equally many.

    If no separator gives two columns or more, the header alone decides: a row is then of another length.
    """
    start = _lines(content, encoding).read(_SAMPLED)
    if len(start) == _SAMPLED:
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
        for row in csv.reader(
            io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
        ):
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


@dataclass(frozen=True)
class _Form:
    """How a file is written: encoding, separator, lines above the header.

    Whether blanks after separators, and rows of empty values as spreadsheets leave them below a table, are
    skipped.
    """

    encoding: str
    separator: str = ","
    skipped_lines: int = 0
    skips_blanks: bool = False


def _parse(path: Path, content: bytes, form: _Form) -> CsvTable:
    reader = csv.reader(
        _lines(content, form.encoding),
        delimiter=form.separator,
        skipinitialspace=form.skips_blanks,
        strict=True,
    )
    try:
        for _ in range(form.skipped_lines):
            next(reader)
        rows = ((reader.line_num, row) for row in reader if row and (any(row) or not form.skips_blanks))
        return _table(path, rows, form)
    except csv.Error as error:
        raise InputError(f"{shown(path)}:{reader.line_num}: is not valid CSV: {error}") from error


def _table(path: Path, rows: Iterator[tuple[int, list[str]]], form: _Form) -> CsvTable:
    """Return the table of rows and their lines; the first one has the names of the columns."""
    line, header = next(rows, (1, ()))
    columns = _columns(path, header, line)
    values, lines = _columnwise(path, rows, len(columns))
    if not lines:
        raise InputError(f"{shown(path)}: needs a header line and at least one row below it")
    return CsvTable(path, columns, values, lines, form.separator, form.encoding.removesuffix("-sig"))


def _columns(path: Path, header: Sequence[str], line: int) -> tuple[str, ...]:
    """Return the names of the columns."""
    if len(header) > MAX_COLUMNS:
        raise InputError(
            f"{shown(path)}:{line}: has {len(header):,} columns; at most {MAX_COLUMNS:,} are read: "
            "keep those of the images and the labels"
        )
    columns = tuple(name.strip() for name in header)
    twice = next((name for name, count in Counter(columns).items() if name and count > 1), None)
    if twice is not None:
        raise InputError(f"{shown(path)}:{line}: duplicate column '{shown(twice)}'")
    return columns


def _columnwise(
    path: Path, rows: Iterable[tuple[int, Sequence[str]]], n_columns: int
) -> tuple[tuple[list[str], ...], Sequence[int]]:
    """Return the values below the header, [columns][rows], and the line of each row."""
    values: tuple[list[str], ...] = tuple([] for _ in range(n_columns))
    lines = array("L")
    known: dict[str, str] = {}
    for line, row in rows:
        if len(row) != n_columns:
            raise InputError(f"{shown(path)}:{line}: has {len(row)} values, expected {n_columns}")
        lines.append(line)
        for column, value in zip(values, _shared(row, known), strict=True):
            column.append(value)
    return values, lines


def _shared(row: Iterable[str], known: dict[str, str]) -> Iterator[str]:
    """Yield the values of a row; of equal ones among the first distinct values, the same object."""
    for value in row:
        yield known.setdefault(value, value) if len(known) < _SHARED else known.get(value, value)
