"""Files that may hold tables, but are not named like one: lists as `.txt`, JSON, and spreadsheets.

A text or a file of JSON that reads as a table of labels is one. One that names images beside something else,
in a form that is not read, and a spreadsheet that is named like labels are not passed over: the folders
beside them need not be the classes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from tune_paddy.core.errors import InputError
from tune_paddy.data.layouts.by_table.images import Surroundings, folder_finder
from tune_paddy.data.layouts.by_table.tables import NAMES_NONE, Kind, Verdict, judge, tables_near
from tune_paddy.data.layouts.by_table.unread import find_unread, unread
from tune_paddy.data.layouts.index import has_suffix
from tune_paddy.data.layouts.names import Role, is_container, role_of, words_of
from tune_paddy.data.layouts.tree import parent_of
from tune_paddy.data.system.text import counted, shown
from tune_paddy.data.tables.csv_table import read_decoded
from tune_paddy.data.tables.json_rows import JSON_SUFFIXES, strings_of

_TEXTS = (".txt", ".dat", ".lst", ".list")
_SPREADSHEETS = (".xlsx", ".xls", ".ods", ".parquet", ".feather")
_LABEL_WORDS = frozenset(("label", "annotation", "groundtruth", "target", "diagnosis", "class"))
"""Words in the name of a spreadsheet of labels, in the singular."""

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
    for name in _near(around, _SPREADSHEETS):
        if _is_named_like_labels(PurePath(name).stem):
            yield Verdict(name, Kind.PROBLEM, f"{shown(around.tree.path(name))}: is not read: save it as CSV")


def _is_named_like_labels(stem: str) -> bool:
    """Return whether a name says that a file holds labels, such as `train` or `image_labels`, and no more."""
    words = words_of(stem)
    others = " ".join(word for word in words if word not in _LABEL_WORDS)
    only = not others or is_container(others) or role_of(others) is not None
    return role_of(stem) is Role.TRAIN or (only and not _LABEL_WORDS.isdisjoint(words))


def _near(around: Surroundings, suffixes: Sequence[str]) -> list[str]:
    """Return the files with a suffix where tables are looked for, unless a folder has one for each image."""
    found = [name for suffix in suffixes for name in around.tree.left_out.get(f"{suffix} file", ())]
    near = tables_near(around.tree, around.base, found)
    sizes = Counter(map(parent_of, near))
    return [name for name in near if sizes[parent_of(name)] <= _MOST]


def _judge_text(name: str, around: Surroundings) -> Verdict | None:
    path = around.tree.path(name)
    if path.stat().st_size > _LARGEST:
        return None
    verdict = judge(name, around)
    if verdict.labels is not None:
        return verdict
    folder_of = folder_finder(path, around)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = find_unread(lines, lambda part: folder_of(part) if has_suffix(part) or "/" in part else None)
    if not found:
        return None
    starts = around.starts(path)
    named = frozenset(file for part in found for file in around.index.find(part, starts))
    return Verdict(name, Kind.PROBLEM, unread(shown(path)), named=named)


def _judge_json(name: str, around: Surroundings) -> Verdict | None:
    """Return what a file of JSON is; None if it is no table of labels, and names no images or one alone."""
    verdict, path = judge(name, around), around.tree.path(name)
    if verdict.labels is not None:
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
    return frozenset(file for text in texts for file in around.index.find(text, starts))
