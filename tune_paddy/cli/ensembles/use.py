"""The use command: make an ensemble the current one of its search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_paddy.cli.app import RunsOption, UriOption, app, console, open_record, record_command
from tune_paddy.cli.completion import complete_search
from tune_paddy.cli.ensembles.option import EnsembleArgument

if TYPE_CHECKING:
    from tune_paddy.ensemble.ensemble import Ensemble
    from tune_paddy.tracking.store import Store


@app.command()
def use(
    search: Annotated[str, typer.Argument(help="Name of a search.", autocompletion=complete_search)],
    ensemble: EnsembleArgument,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Make an ensemble the current one of a search, whose submission and report other commands use.

    Example: tune-paddy use my-search greedy-3-members
    """
    store = open_record(tracking_uri, runs, search, ensemble=ensemble)
    # Imported after the check of the names: the report's template engine takes half a second.
    from tune_paddy.ensemble.switch import search_folder, use_ensemble
    from tune_paddy.tracking.lookup.ensembles import current_ensemble
    from tune_paddy.tracking.runs import get_search

    before = current_ensemble(store, search)
    folder = search_folder(get_search(store, search), runs)
    now = use_ensemble(store, search, ensemble, folder)
    previous = "" if before is None or before.run_id == now.run_id else f"; previously {before.name}"
    console.print(f"{now.name} is the current ensemble of {search}{previous}", soft_wrap=True)


def print_standing(ensemble: "Ensemble", search: str, store: "Store") -> None:
    """Print whether a new ensemble is the current one, and if not, the command that makes it current.

    Args:
        ensemble: New ensemble.
        search: Name of the search that it belongs to.
        store: The record.
    """
    standing = ensemble.standing
    if not standing.sentence:
        return
    line = standing.sentence
    if not standing.current:
        line += f"; make it current with: {record_command(store, 'use', search, ensemble.name)}"
    console.print(line, style=None if standing.current else "yellow", soft_wrap=True)
