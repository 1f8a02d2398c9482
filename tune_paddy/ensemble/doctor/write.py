"""Write the suspects of an examination: a page to look at, and a table to edit."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from tune_paddy.core.errors import InputError
from tune_paddy.data.labels.relabel import CONFIRMED, GIVEN, ID, LABEL
from tune_paddy.data.labels.texts import shown_label
from tune_paddy.data.pixel_range import PixelRange
from tune_paddy.data.system.files import write_atomically
from tune_paddy.data.system.text import shown
from tune_paddy.data.tables.csv_table import format_csv, read_csv
from tune_paddy.data.thumbnails import thumbnail_uri
from tune_paddy.ensemble.doctor.examine import Change, Examination, Suspect

PAGE, TABLE = "labels.html", "labels.csv"
"""Names of the files."""

COLUMNS = (ID, GIVEN, "likelier", LABEL, CONFIRMED, "doubt", "votes")
"""Columns of the table; a person edits `label` and marks `confirmed`."""

SIDE = 144
"""Longer side of a thumbnail, in px."""


def write_table(path: Path, examined: Examination) -> None:
    """Write the suspects as CSV; the label is the given one until a person corrects it.

    Args:
        path: Path of the table; one that nobody has edited is overwritten.
        examined: Examination of a search.

    Raises:
        InputError: A person has edited the table.
        TunePaddyError: It cannot be written.
    """
    if path.exists() and _edited(path):
        raise InputError(
            f"{shown(path)} has been edited: use it with `relabel`, move it, or write another one with `to`",
            options=("to",),
        )
    rows = [
        (one.id, one.given, one.likelier, one.given, "", f"{one.doubt:.4f}", f"{one.votes}/{examined.views}")
        for one in examined.suspects
    ]
    write_atomically(path, format_csv([COLUMNS, *rows]))


def _edited(path: Path) -> bool:
    """Return whether a table differs from the written one: another label, or a confirmed one."""
    table = read_csv(path)
    if not {GIVEN, LABEL, CONFIRMED} <= set(table.columns):
        return True
    pairs = zip(table.column(GIVEN), table.column(LABEL), strict=True)
    return any(given != label for given, label in pairs) or any(table.column(CONFIRMED))


def write_page(
    path: Path,
    examined: Examination,
    files: Mapping[str, Path],
    *,
    table: Path,
    command: str,
    pixel_range: PixelRange | None = None,
) -> None:
    """Write the suspects as one page that needs no other file.

    Args:
        path: Path of the page.
        examined: Examination of a search.
        files: Id → file of the labelled images; missing ones have no thumbnail.
        table: Path of the table to edit.
        command: Command that starts the next search with the corrected labels.
        pixel_range: Range of deep images; None: each by itself.

    Raises:
        TunePaddyError: It cannot be written.
    """
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 only pages need it

    # Names of files and classes are untrusted: the template escapes every value.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = resources.files("tune_paddy.ensemble.doctor").joinpath("labels.html").read_text("utf-8")
    rows = [_row(one, examined.views, files.get(one.id), pixel_range) for one in examined.suspects]
    page = environment.from_string(text).render(
        search=examined.search,
        conspicuous=examined.conspicuous,
        finding=examined.finding(),
        coverage=examined.coverage(),
        estimated=examined.count,
        rows=rows,
        table=shown(table),
        command=command,
    )
    write_atomically(path, page.encode())


def _row(one: Suspect, views: int, file: Path | None, pixel_range: PixelRange | None) -> dict[str, object]:
    return {
        "id": shown(one.id),
        "given": shown_label(one.given),
        "likelier": shown_label(one.likelier),
        "changes": [_change(change) for change in one.changes],
        "doubt": f"{100 * one.doubt:.0f} %",
        "width": f"{100 * one.doubt:.0f}%",
        "votes": f"{one.votes} of {views} views",
        "thumbnail": None if file is None else thumbnail_uri(file, SIDE, pixel_range=pixel_range),
    }


def _change(change: Change) -> str:
    word = "missing" if change.missing else "wrong"
    return f"{shown(change.label)} {word}: {100 * change.doubt:.0f} %"
