"""The report command: the page that a selection leaves."""

import os
import shlex
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_paddy.cli.app import RunsOption, UriOption, app, console
from tune_paddy.cli.completion import complete_search
from tune_paddy.core.errors import InputError

if TYPE_CHECKING:
    from tune_paddy.tracking.runs import RecordedRun

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Variables of which one is set where a Linux machine has a desktop."""


@app.command()
def report(
    search: Annotated[str, typer.Argument(help="Name of a search.", autocompletion=complete_search)],
    no_open: Annotated[bool, typer.Option("--no-open", help="Only print where it is.")] = False,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Open the report of a search in the browser, where there is one, and print where it is.

    Example: tune-paddy report my-search
    """
    from tune_paddy.tracking.runs import get_search
    from tune_paddy.tracking.store import open_store

    store = open_store(tracking_uri, experiment=None, artifact_root=runs / "artifacts", create=False)
    page = find_report(get_search(store, search), runs)
    console.print(shlex.quote(str(page)), soft_wrap=True)
    if not no_open and has_desktop():
        webbrowser.open(page.absolute().as_uri())


def find_report(search: "RecordedRun", runs: Path) -> Path:
    """Find the page of a search: where the record says that its files are, else in the folder of searches.

    Raises:
        InputError: There is none.
    """
    from tune_paddy.ensemble.reports.html import REPORT
    from tune_paddy.tracking.schema import SearchRecord

    here, record = runs / search.name, SearchRecord.from_run(search)
    folders = [here] if record.folder in (None, here.absolute()) else [record.folder, here]
    for page in (folder / REPORT for folder in folders):
        if page.is_file():
            return page
    if record.refit_of:
        original = record.refit_of[0]
        raise InputError(
            f"{search.name!r} was trained again for the ensemble of {original!r}, whose report tells of it: "
            f"{shlex.join(['tune-paddy', 'report', original])}"
        )
    raise InputError(
        f"search {search.name!r} has no report in {here}: "
        f"{shlex.join(['tune-paddy', 'select', search.name])} writes it"
    )


def has_desktop() -> bool:
    """Whether a browser would have a window here."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in DISPLAYS)
