"""The show command: print one search, or a list of all."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_paddy.cli.app import RunsOption, UriOption, app, console, open_record, record_command
from tune_paddy.cli.completion import complete_search
from tune_paddy.cli.ensembles.option import EnsembleOption
from tune_paddy.core.errors import InputError

if TYPE_CHECKING:
    from tune_paddy.ensemble.reports.searches import Overview
    from tune_paddy.tracking.store import Store


@app.command()
def show(
    search: Annotated[
        str | None,
        typer.Argument(help="Name of a search; default: list all.", autocompletion=complete_search),
    ] = None,
    ensemble: EnsembleOption = None,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Show the state of a search, also while it runs: leaderboard, running members, failures with reasons.

    Example: tune-paddy show my-search
    """
    from tune_paddy.ensemble.reports.searches import print_overview, print_searches
    from tune_paddy.tracking.runs import deleted_searches, list_searches

    if search is None and ensemble is not None:
        raise InputError("`ensemble` needs the name of its search", options=("ensemble",))
    store = open_record(tracking_uri, runs, *([] if search is None else [search]), ensemble=ensemble)
    if search is not None:
        print_overview(console, read_overview(store, search, ensemble))
        return
    searches = list_searches(store)
    if not searches:
        console.print(f"{store.address} has no searches; `tune-paddy search` or `tune-paddy demo` starts one")
        for deleted in deleted_searches(store):
            console.print(str(deleted), soft_wrap=True)
        return
    print_searches(console, searches, time.time())
    console.print(f"\nShow one: {record_command(store, 'show', searches[-1].name)}", soft_wrap=True)


def read_overview(store: "Store", name: str, ensemble: str | None = None) -> "Overview":
    """Read the current state of a search from the record.

    Args:
        store: The record.
        name: Name of the search.
        ensemble: Name or run id of the ensemble to show; None: the current one.

    Raises:
        InputError: The search or the ensemble is unknown.
    """
    from tune_paddy.ensemble.reports.outlook import outlook_lines
    from tune_paddy.ensemble.reports.searches import Overview
    from tune_paddy.tracking.ensembles import read_recorded_ensemble
    from tune_paddy.tracking.lookup.ensembles import current_among, finished_ensembles, get_ensemble
    from tune_paddy.tracking.runs import count_epochs, get_search, list_members

    search, ensembles = get_search(store, name), finished_ensembles(store, name)
    current = current_among(search, ensembles)
    shown = current if ensemble is None else get_ensemble(store, name, ensemble)
    members = list_members(store, name)
    running = [member for member in members if member.outcome == "running"]
    return Overview(
        search=search,
        members=members,
        ensembles=ensembles,
        current=current,
        shown=shown,
        described=None if shown is None or shown is current else read_recorded_ensemble(store, shown),
        epochs={member.name: count_epochs(store, member.run_id) for member in running},
        now=time.time(),
        outlook=outlook_lines(store, search),
        command=lambda *words: record_command(store, *words),
    )
