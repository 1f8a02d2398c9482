"""The data doctor command: list the labels that a search contradicts, and compare a corrected search."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_paddy.cli.app import RunsOption, UriOption, console, errors, open_record, working
from tune_paddy.cli.completion import complete_search
from tune_paddy.cli.data import data_app
from tune_paddy.cli.failures import with_flags
from tune_paddy.core.errors import InputError
from tune_paddy.data.labels.texts import shown_label
from tune_paddy.data.system.text import counted, shown

if TYPE_CHECKING:
    from tune_paddy.ensemble.doctor.examine import Examination
    from tune_paddy.tracking.schema import SearchRecord
    from tune_paddy.tracking.store import Store

PRINTED = 5
"""Number of suspects that the terminal lists; the page shows the rest."""

_KEPT = ("trials", "folds", "seed")
"""Settings of the next search that may have been given on the command line, not in the space."""
_SKIPS = ("skip_corrupt", "skip_conflicts")
"""Options without which the next search may refuse the images."""


@data_app.command("doctor")
def doctor(
    search: Annotated[str, typer.Argument(help="Name of a search.", autocompletion=complete_search)],
    before: Annotated[
        str | None,
        typer.Option(
            help="Earlier search, with the labels before their correction: compare both on confirmed images.",
            autocompletion=complete_search,
        ),
    ] = None,
    relabel: Annotated[
        Path | None,
        typer.Option(help="With --before: table of corrected labels; default: that of the search."),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(help="Number of images to list; default: twice as many as look wrong.", min=1, max=1000),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder of the files; default: that of the search.", file_okay=False),
    ] = None,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """List the labels that the members of a search contradict: a page to look at, and a table to edit.

    No member has trained on the images that it judges: all of them in a search with folds, otherwise the
    select split. Nothing of the dataset is changed.

    Example: tune-paddy data doctor my-search

    Afterwards: tune-paddy data doctor corrected-search --before my-search
    """
    from tune_paddy.ensemble.doctor.examine import examine

    if relabel is not None and before is None:
        raise InputError(
            "`relabel` belongs to `before`; to search with corrected labels, give it to `tune-paddy search`",
            options=("relabel", "before"),
        )
    store = open_record(tracking_uri, runs, search, *([] if before is None else [before]))
    with working("reading the predictions and judging the labels"):
        examined = examine(store, search, most=most)
    if before is not None:
        _print_comparison(store, examined, before, relabel)
        return
    console.print(f"Search {search}: {examined.finding()}", soft_wrap=True)
    if examined.coverage():
        errors.print(f"Note: {with_flags(examined.coverage(), ('folds',))}", style="yellow", soft_wrap=True)
    for one in examined.suspects[:PRINTED] if examined.conspicuous else ():
        console.print(
            f"  {shown(one.id)}: {shown_label(one.given)}, likelier {shown_label(one.likelier)} "
            f"({one.votes} of {examined.views} views disagree)",
            soft_wrap=True,
        )
    _write(store, examined, runs, to)


def _write(store: "Store", examined: "Examination", runs: Path, to: Path | None) -> None:
    """Write the page and the table, and print their paths and the next command."""
    from tune_paddy.data.layouts.locate import find_files
    from tune_paddy.data.system.own_output import mark_output
    from tune_paddy.ensemble.doctor.write import PAGE, TABLE, write_page, write_table
    from tune_paddy.ensemble.switch import search_folder
    from tune_paddy.tracking.runs import get_search
    from tune_paddy.tracking.schema import SearchRecord

    run = get_search(store, examined.search)
    record, folder = SearchRecord.from_run(run), to or search_folder(run, runs)
    mark_output(folder)
    folder.mkdir(parents=True, exist_ok=True)
    page, table = folder / PAGE, folder / TABLE
    write_table(table, examined)
    command = _next_search(record, table)
    options = record.read_options
    with working("writing the page"):
        files, _ = find_files(record.images or Path(), options)
        write_page(page, examined, files, table=table, command=command, pixel_range=options.range)
    listed = counted(len(examined.suspects), "image")
    console.print(f"Page: {shlex.quote(str(page))}: {listed}, the most suspect first", soft_wrap=True)
    console.print(
        f"Table: {shlex.quote(str(table))}: correct `label`, mark `confirmed`; then: {command}",
        soft_wrap=True,
    )
    if not files:
        errors.print(
            f"The images are no longer at {shown(record.images or '')}: the page has no thumbnails",
            style="yellow",
            soft_wrap=True,
        )


def _next_search(record: "SearchRecord", table: Path) -> str:
    """Return the command of a search that differs from a recorded one by its labels alone."""
    from tune_paddy.spaces.space import shipped_spaces
    from tune_paddy.tracking.context.reproduction import reading_flags
    from tune_paddy.tracking.files import SPACE_FILE

    space = record.space
    if space not in shipped_spaces() and record.folder is not None:
        space = str(record.folder / SPACE_FILE)
    flags = [flag for flag in reading_flags(record) if not flag.startswith("--relabel=")]
    settings, reading = record.settings or {}, record.reading or {}
    flags += [f"--{name}={settings[name]}" for name in _KEPT if settings.get(name) is not None]
    flags += [f"--{name.replace('_', '-')}" for name in _SKIPS if reading.get(name)]
    words = ["tune-paddy", "search", str(record.images or "DATA"), "--space", space or "SPACE", *flags]
    return shlex.join([*words, "--relabel", str(table.absolute())])


def _print_comparison(store: "Store", later: "Examination", before: str, table: Path | None) -> None:
    """Print the errors of two searches on the images that a person confirmed."""
    from tune_paddy.data.labels.relabel import parse_corrections
    from tune_paddy.ensemble.doctor.compare import compare, describe
    from tune_paddy.ensemble.doctor.examine import examine
    from tune_paddy.tracking.runs import get_search
    from tune_paddy.tracking.schema import SearchRecord

    record = SearchRecord.from_run(get_search(store, later.search))
    recorded = record.read_options.relabel
    if table is None and recorded is None:
        raise InputError(
            f"search {later.search!r} was not started with `relabel`: name the table of corrected labels",
            options=("relabel",),
        )
    path = table or (record.dataset or Path()) / str(recorded)
    with working("reading the predictions of the earlier search"):
        earlier = examine(store, before)
    result = compare(earlier, later, parse_corrections(path), table=path)
    for line in describe(result, before, later.search):
        console.print(line, soft_wrap=True)
