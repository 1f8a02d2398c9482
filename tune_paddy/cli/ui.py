"""The ui command: serve MLflow's pages of the record."""

import signal
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tune_paddy.cli.app import RunsOption, UriOption, app, console, open_record
from tune_paddy.cli.completion import complete_search
from tune_paddy.core.errors import TunePaddyError


@app.command()
def ui(
    search: Annotated[
        str | None,
        typer.Argument(
            help="Search whose members to open; default: all searches.", autocompletion=complete_search
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port; default: 5000, or the next free one except 5001, which is for models.",
            min=1,
            max=65535,
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser", help="Also open a browser.")] = False,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Serve MLflow's pages of the record to this machine only, until Ctrl-C.

    Example: tune-paddy ui my-search
    """
    from tune_paddy.tracking.runs import get_search, list_searches
    from tune_paddy.tracking.ui.layout import (
        ALL_SEARCHES,
        curves_view,
        members_view,
        save_views,
        uses_gpu,
        view_address,
    )
    from tune_paddy.tracking.ui.server import HOST, free_port, mlflow_page

    store = open_record(tracking_uri, runs, *([] if search is None else [search]))
    shown = list_searches(store)[-1:] if search is None else (get_search(store, search),)
    key = ALL_SEARCHES if search is None else members_view(search)

    for one in shown:  # searches of other versions lack these views
        writable = replace(store, experiment_id=one.experiment_id)
        save_views(writable, one.name, one.run_id, on_gpu=uses_gpu(one.params.get("gpu", 0)))

    def addresses(page: str) -> list[str]:
        if not shown:
            return [page]
        curves = curves_view(shown[0].name)
        return [
            view_address(page, shown[0].experiment_id, key),
            view_address(page, shown[0].experiment_id, curves, charts=True),
        ]

    if tracking_uri and tracking_uri.startswith(("http://", "https://")):
        _print_addresses(addresses(store.address.rstrip("/")), browser)
        return
    number = free_port(port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM must stop the server, too
    console.print(f"Starting MLflow on {store.address}", soft_wrap=True)
    try:
        with mlflow_page(store.tracking_uri, number) as server:
            _print_addresses(addresses(f"http://{HOST}:{number}"), browser)
            console.print("MLflow's assistant opens on the first visit; close it to see all columns.")
            console.print("Press Ctrl-C to stop.")
            server.wait()
        raise TunePaddyError("the MLflow server stopped unexpectedly")
    except KeyboardInterrupt:
        console.print("Stopped.")


def _print_addresses(addresses: list[str], browser: bool) -> None:
    """Print the address of the table and, if there is a search, of its curves."""
    for what, address in zip(("Browse:", "Curves:"), addresses, strict=False):
        console.print(f"{what} {address}", soft_wrap=True, style="bold")
    if browser:
        webbrowser.open(addresses[0])
