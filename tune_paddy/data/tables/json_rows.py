"""Rows of a table that is written in JSON: as records, or as an object of image → label.

Records are objects with the same keys, in a list or one after another, as in JSON Lines.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.core.tasks.names import SEPARATOR
from tune_paddy.data.system.text import shown

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
"""Suffixes of files that are read as JSON, in lower case."""

_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=tuple)
"""Decoder that keeps numbers as they are written; an object is a tuple of pairs, also of equal keys."""
_BLANKS = re.compile(r"[ \t\r\n]*")
_RECORD = '{"image": "1.jpg", "label": "blast"}'
_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?\Z)', re.DOTALL)
"""Text in quotes, up to the end of the file if the last one is missing."""
_BARE_LIST = re.compile(r"\s*\[[\s,]*\]\s*")
"""List of texts, without them."""
OF_OBJECT = ("image", "label")
"""Columns of an object of image → label."""


def json_rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each row begins, counted from 1, and its values; the names of columns first.

    Several labels in a list are joined by `|`; null is empty.

    Args:
        path: Path of the file, for messages; a single object is a record only if it is named as JSON Lines.
        text: Its content.

    Raises:
        InputError: The text is not valid JSON, or no table, or its records have different keys.
    """
    first: dict[str, str] = {}
    try:
        for line, record in _records(_Cursor(text), is_lines=path.suffix.lower() != JSON_SUFFIXES[0]):
            row = _row(f"{shown(path)}:{line}", record)
            if not first:
                first = row
                yield line, list(first)
            elif row.keys() != first.keys():
                key = shown(min(row.keys() ^ first.keys()))
                raise InputError(
                    f"{shown(path)}:{line}: the key {key} is in this record or in the first one, but not in "
                    "both: give all records the same keys"
                )
            yield line, [row[key] for key in first]
    except json.JSONDecodeError as error:
        raise InputError(
            f"{shown(path)}:{error.lineno}: is not valid JSON: {error.msg}; correct it"
        ) from error
    except RecursionError as error:
        raise InputError(f"{shown(path)}: is nested too deeply to be a table: save it as CSV") from error


@dataclass
class _Cursor:
    """Place in a text of JSON; its line is counted as it moves."""

    text: str
    at: int = 0
    line: int = 1

    def peek(self) -> str:
        """Return the next character that is no blank, and move to it; "" at the end."""
        self._move(_BLANKS.match(self.text, self.at).end())  # type: ignore[union-attr]  # matches nothing, too
        return self.text[self.at : self.at + 1]

    def take(self, sign: str) -> None:
        """Move behind a sign."""
        if self.peek() != sign:
            raise json.JSONDecodeError(f"{sign} expected", self.text, self.at)
        self._move(self.at + 1)

    def value(self) -> object:
        """Decode the next value, and move behind it."""
        self.peek()
        value, end = _DECODER.raw_decode(self.text, self.at)
        self._move(end)
        return value

    def is_alone(self) -> bool:
        """Return whether a single value follows."""
        return not self.text[_DECODER.raw_decode(self.text, self.at)[1] :].strip()

    def _move(self, to: int) -> None:
        self.line += self.text.count("\n", self.at, to)
        self.at = to


def _records(cursor: _Cursor, *, is_lines: bool) -> Iterator[tuple[int, object]]:
    """Yield the line and the value of each record."""
    start = cursor.peek()
    if start == "[":
        yield from _between(cursor, "[", "]")
    elif start == "{" and not is_lines and cursor.is_alone():
        yield from _between(cursor, "{", "}")
    else:
        while cursor.peek():
            yield cursor.line, cursor.value()
    if cursor.peek():
        raise json.JSONDecodeError("the end of the file expected", cursor.text, cursor.at)


def _between(cursor: _Cursor, start: str, end: str) -> Iterator[tuple[int, object]]:
    """Yield the elements of a list, or the pairs of an object as records."""
    cursor.take(start)
    while cursor.peek() != end:
        line, value = cursor.line, cursor.value()
        if start == "{":
            cursor.take(":")
            value = tuple(zip(OF_OBJECT, (value, cursor.value()), strict=True))
        yield line, value
        if cursor.peek() != end:
            cursor.take(",")
    cursor.take(end)


def _row(place: str, record: object) -> dict[str, str]:
    """Return the text of each value of a record."""
    if not isinstance(record, tuple) or not record:
        raise InputError(f"{place}: is no record such as {_RECORD}: save the table as CSV")
    row: dict[str, str] = {}
    for key, value in record:
        text = _text(value)
        if text is None:
            what = (
                f"{key} of {record[0][1]}" if isinstance(record[0][1], str) and record[0][0] != key else key
            )
            raise InputError(
                f"{place}: {shown(what)} holds more than a text, a number or a list of them: save the table "
                "as CSV, below a line such as image,label"
            )
        row[key.strip()] = text
    if len(row) < len(record):
        raise InputError(f"{place}: a key is there twice: keep one of each")
    return row


def _text(value: object) -> str | None:
    """Return a value as text; None: it is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        parts = [None if isinstance(part, list) else _text(part) for part in value]
        flat = [part for part in parts if part is not None and SEPARATOR not in part]
        return SEPARATOR.join(flat) if len(flat) == len(parts) else None
    return value if isinstance(value, str) and _is_unicode(value) else None


def _is_unicode(value: str) -> bool:
    """Return whether a text can be written into a file: it has no half of a pair of UTF-16."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def strings_of(text: str) -> Iterator[str]:
    """Yield the keys and texts in JSON of any form, valid or not; nothing of a list of texts alone.

    >>> list(strings_of('{"images": [{"file": "1.jpg", "id": 1},')), list(strings_of('["1.jpg", "2.jpg"]'))
    (['images', 'file', '1.jpg', 'id'], [])
    """
    if not _BARE_LIST.fullmatch(_STRING.sub("", text)):
        for found in _STRING.finditer(text):
            yield _unescaped(found[1])


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"')) if "\\" in text else text
    except json.JSONDecodeError:
        return text
