"""The report command: open the report of a search."""

import os
import shlex
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_paddy.cli.app import RunsOption, UriOption, app, console, open_record
from tune_paddy.cli.completion import complete_search
from tune_paddy.cli.ensembles.option import EnsembleOption
from tune_paddy.core.errors import InputError

if TYPE_CHECKING:
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Environment variables; at least one is set on a Linux machine with a desktop."""


@app.command()
def report(
    search: Annotated[str, typer.Argument(help="Name of a search.", autocompletion=complete_search)],
    ensemble: EnsembleOption = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Only print its path.")] = False,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Print the path of a search's report, and open it in a browser if there is a desktop.

    Example: tune-paddy report my-search
    """
    from tune_paddy.tracking.runs import get_search

    store = open_record(tracking_uri, runs, search, ensemble=ensemble)
    found = get_search(store, search)
    page = report_of(store, found, ensemble, runs) if ensemble else find_report(store, found, runs)
    console.print(shlex.quote(str(page)), soft_wrap=True)
    if not no_open and has_desktop():
        webbrowser.open(page.absolute().as_uri())


def report_of(store: "Store", search: "RecordedRun", ensemble: str, runs: Path) -> Path:
    """Return the report of an ensemble, restored from the record if its folder is not here.

    Raises:
        InputError: The ensemble is unknown, or has no report.
        TunePaddyError: MLflow failed.
    """
    from tune_paddy.ensemble.folders import ensembles_lock
    from tune_paddy.ensemble.reports.html import REPORT
    from tune_paddy.ensemble.switch import folder_of, search_folder
    from tune_paddy.tracking.lookup.ensembles import get_ensemble

    run, folder = get_ensemble(store, search.name, ensemble), search_folder(search, runs)
    with ensembles_lock(folder):
        page = folder_of(store, run, folder) / REPORT
    if not page.is_file():
        raise InputError(f"ensemble {run.name!r} of search {search.name!r} has no report")
    return page


def find_report(store: "Store", search: "RecordedRun", runs: Path) -> Path:
    """Find the report of a search's current ensemble: in the folder of searches, else in the recorded folder.

    A copy of another ensemble's report is passed over: another machine may have made this one current.

    Raises:
        InputError: There is no report.
    """
    from tune_paddy.ensemble.folders import ensemble_folder, published_name
    from tune_paddy.ensemble.reports.html import REPORT
    from tune_paddy.tracking.lookup.ensembles import current_ensemble
    from tune_paddy.tracking.schema import SearchRecord

    here, record = runs / search.name, SearchRecord.from_run(search)
    folders = [here] if record.folder in (None, here.absolute()) else [here, record.folder]
    current = current_ensemble(store, search.name)
    for folder in folders:
        own = folder if current is None else ensemble_folder(folder, current.name)
        is_copy = current is None or published_name(folder) in (None, "", current.name)
        for page in (folder / REPORT, own / REPORT) if is_copy else (own / REPORT, folder / REPORT):
            if page.is_file():
                return page
    if record.refit_of:
        original = record.refit_of[0]
        raise InputError(
            f"{search.name!r} is the refit of {original!r}, whose report covers it: "
            f"{shlex.join(['tune-paddy', 'report', original])}"
        )
    raise InputError(
        f"search {search.name!r} has no report in {here}; to write it: "
        f"{shlex.join(['tune-paddy', 'select', search.name])}"
    )


def has_desktop() -> bool:
    """Return whether this machine can show a browser window."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in DISPLAYS)
