"""The show command: print one search, or a list of all."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_paddy.cli.app import RunsOption, UriOption, app, console, record_command
from tune_paddy.cli.completion import complete_search

if TYPE_CHECKING:
    from tune_paddy.ensemble.reports.searches import Overview
    from tune_paddy.tracking.store import Store


@app.command()
def show(
    search: Annotated[
        str | None,
        typer.Argument(help="Name of a search; default: list all.", autocompletion=complete_search),
    ] = None,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Show the state of a search, also while it runs: leaderboard, running members, failures with reasons.

    Example: tune-paddy show my-search
    """
    from tune_paddy.ensemble.reports.searches import print_overview, print_searches
    from tune_paddy.tracking.runs import list_searches
    from tune_paddy.tracking.store import open_store

    store = open_store(tracking_uri, experiment=None, artifact_root=runs / "artifacts", create=False)
    if search is not None:
        print_overview(console, read_overview(store, search))
        return
    searches = list_searches(store)
    if not searches:
        console.print(f"{store.address} has no searches; `tune-paddy search` or `tune-paddy demo` starts one")
        return
    print_searches(console, searches, time.time())
    console.print(f"\nShow one: {record_command(store, 'show', searches[-1].name)}", soft_wrap=True)


def read_overview(store: "Store", name: str) -> "Overview":
    """Read the current state of a search from the record."""
    from tune_paddy.ensemble.reports.searches import Overview
    from tune_paddy.tracking.runs import count_epochs, get_search, list_ensembles, list_members

    search = get_search(store, name)
    members = list_members(store, name)
    running = [member for member in members if member.outcome == "running"]
    return Overview(
        search=search,
        members=members,
        ensembles=list_ensembles(store, name),
        epochs={member.name: count_epochs(store, member.run_id) for member in running},
        now=time.time(),
        command=lambda *words: record_command(store, *words),
    )
