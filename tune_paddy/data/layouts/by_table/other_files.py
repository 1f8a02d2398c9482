"""Files that may hold tables, but are not named like one: texts, JSON, spreadsheets, and packed tables.

A text or a file of JSON that reads as a table of labels is one. One that names images beside something else,
in a form that is not read, and a spreadsheet or another file that is named like labels are not passed over:
the folders beside them need not be the classes.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.by_table.images import Surroundings, folder_finder
from tune_paddy.data.layouts.by_table.tables import (
    NAMES_NONE,
    ROWS_APART,
    Kind,
    Verdict,
    judge,
    tables_near,
)
from tune_paddy.data.layouts.by_table.unread import find_unread, unread
from tune_paddy.data.layouts.index import has_suffix
from tune_paddy.data.layouts.names import Role, is_container, role_of, words_of
from tune_paddy.data.layouts.tree import TABLE_SUFFIXES, kind_of, parent_of
from tune_paddy.data.system.text import counted, shown
from tune_paddy.data.tables.csv_table import SEPARATORS, read_decoded
from tune_paddy.data.tables.json_rows import JSON_SUFFIXES, strings_of

_TEXTS = (".txt", ".dat", ".lst", ".list", ".yaml", ".yml", ".md", ".html", ".htm", "")
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".parquet", ".feather")
_STORES = (".pkl", ".pickle", ".npy", ".mat", ".h5", ".hdf5", ".xml")
"""Files of anything; those that are named like labels rather hold some."""
_PACKED = (".zip", ".gz", ".bz2", ".xz", ".7z")
_LABEL_WORDS = frozenset(("label", "annotation", "groundtruth", "target", "diagnosis", "class"))
"""Words in the name of a spreadsheet of labels, in the singular."""

_NAMES_LABELS = _LABEL_WORDS - {"class"}
"""The same without that in names of lists of the classes, such as `classes.npy`."""

_COLUMNS = re.compile(f"[{SEPARATORS}]")

_MOST = 8
"""Number of texts in a folder above which they are those of single images."""
_LARGEST = 8 * 2**20
"""Size in bytes above which a text is not read."""

_SCATTERED = (
    "no key of its records names images alone: save the table as CSV, below a line such as image,label"
)


def judge_others(around: Surroundings) -> Iterator[Verdict]:
    """Yield what files near the dataset are that may be tables of labels; nothing of any other file."""
    yield from (verdict for name in _near(around, _TEXTS) if (verdict := _judge_text(name, around)))
    for suffix in JSON_SUFFIXES:
        yield from (verdict for name in _near(around, [suffix]) if (verdict := _judge_json(name, around)))
    for name in _near(around, [*_SPREADSHEETS, *_STORES, *_PACKED]):
        if _may_hold_labels(PurePath(name), around):
            way_out = "unpack it" if PurePath(name).suffix.lower() in _PACKED else "save it as CSV"
            yield Verdict(name, Kind.PROBLEM, f"{shown(around.tree.path(name))}: is not read: {way_out}")


def _may_hold_labels(path: PurePath, around: Surroundings) -> bool:
    """Return whether a file in a form that is not read is named like a table of labels."""
    suffix = path.suffix.lower()
    if suffix in _SPREADSHEETS:
        return is_named_like_labels(path.stem)
    if suffix in _STORES:
        return is_named_like_labels(path.stem) and not _NAMES_LABELS.isdisjoint(words_of(path.stem))
    inner = PurePath(path.stem)  # such as labels.csv of labels.csv.gz
    is_table = inner.suffix.lower() in (*TABLE_SUFFIXES, *JSON_SUFFIXES)
    unpacked = around.tree.path(str(path.with_name(inner.name)))
    return is_table and is_named_like_labels(inner.stem) and not unpacked.exists()


def is_named_like_labels(stem: str) -> bool:
    """Return whether a name says that a file holds labels, and no more.

    >>> is_named_like_labels("train"), is_named_like_labels("image_labels"), is_named_like_labels("cameras")
    (True, True, False)
    """
    words = words_of(stem)
    others = " ".join(word for word in words if word not in _LABEL_WORDS)
    only = not others or is_container(others) or role_of(others) is not None
    return role_of(stem) is Role.TRAIN or (only and not _LABEL_WORDS.isdisjoint(words))


def _near(around: Surroundings, suffixes: Sequence[str]) -> list[str]:
    """Return the files with a suffix where tables are looked for, unless a folder has one for each image."""
    found = [name for suffix in suffixes for name in around.tree.left_out.get(kind_of(suffix), ())]
    near = tables_near(around.tree, around.base, found)
    sizes = Counter(map(parent_of, near))
    return [name for name in near if sizes[parent_of(name)] <= _MOST]


def _judge_text(name: str, around: Surroundings) -> Verdict | None:
    path = around.tree.path(name)
    if path.stat().st_size > _LARGEST:
        return None
    verdict = judge(name, around)
    if verdict.labels is not None or verdict.reason == ROWS_APART:
        return verdict
    folder_of, lines = folder_finder(path, around), _lines(path)
    if verdict.named and not any(map(folder_of, _COLUMNS.split(lines[0]))):  # below names of columns
        return verdict
    found = find_unread(lines, lambda part: folder_of(part) if has_suffix(part) or "/" in part else None)
    if not found:
        return None
    starts = around.starts(path)
    named = frozenset(file for part in found for file in around.index.find(part, starts))
    return Verdict(name, Kind.PROBLEM, unread(shown(path)), named=named)


def _lines(path: Path) -> list[str]:
    """Return the lines of a text; one that mixes encodings is read as UTF-8."""
    try:
        return read_decoded(path).splitlines()
    except InputError:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _judge_json(name: str, around: Surroundings) -> Verdict | None:
    """Return what a file of JSON is; None if it is no table of labels, and names no images or one alone."""
    verdict, path = judge(name, around), around.tree.path(name)
    if verdict.labels is not None or verdict.reason == ROWS_APART:
        return verdict
    if verdict.kind is not Kind.PROBLEM and verdict.reason != NAMES_NONE:
        return None
    try:
        named = verdict.named or _named_in(path, around)
    except InputError as error:  # too large, or no text
        return Verdict(name, Kind.PROBLEM, str(error))
    if len(named) < 2:  # noqa: PLR2004 one is an example, or the file is about it alone
        return None
    reason = verdict.reason if verdict.kind is Kind.PROBLEM else f"{shown(path)}: {_SCATTERED}"
    if not verdict.named:
        reason = f"{reason.splitlines()[0]}; it names {counted(len(named), 'image')} of the dataset"
    return Verdict(name, Kind.PROBLEM, reason, named=named)


def _named_in(path: Path, around: Surroundings) -> frozenset[str]:
    """Return the images that the texts in a file of JSON name, whatever its form; none of a bare list."""
    starts = around.starts(path)
    texts = filter(has_suffix, strings_of(read_decoded(path)))
    found = (around.index.find(text, starts) or around.index.find(_last(text), starts) for text in texts)
    return frozenset(file for files in found for file in files)


def _last(path: str) -> str:
    """Return the name in a path that may begin elsewhere."""
    return re.split(r"[/\\]", path)[-1]
