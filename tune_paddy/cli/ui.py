"""The ui command: serve MLflow's pages of the record."""

import signal
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_paddy.cli.app import RunsOption, UriOption, app, console, open_record
from tune_paddy.cli.completion import complete_search
from tune_paddy.core.errors import TunePaddyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store


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

    store = open_record(tracking_uri, runs, *([] if search is None else [search]))
    shown = list_searches(store)[-1:] if search is None else [get_search(store, search)]
    for one in shown:
        _save_views(store, one)
    if tracking_uri and tracking_uri.startswith(("http://", "https://")):
        _print_addresses(_addresses(store.address.rstrip("/"), search, shown), browser)
        return
    _serve(store, port, lambda page: _print_addresses(_addresses(page, search, shown), browser))


def _save_views(store: "Store", search: "RecordedRun") -> None:
    """Save MLflow's views of a search, which searches of other versions lack."""
    from tune_paddy.tracking.ui.layout import save_views, uses_gpu

    writable = replace(store, experiment_id=search.experiment_id)
    save_views(writable, search.name, search.run_id, on_gpu=uses_gpu(search.params.get("gpu", 0)))


def _addresses(page: str, named: str | None, shown: "Sequence[RecordedRun]") -> list[str]:
    """Return the addresses of a table and of the curves of a search; the page itself if there is none.

    Args:
        page: Address of MLflow.
        named: Search whose members the table has; None: all searches.
        shown: The search, or the last one; none: there is no search.
    """
    from tune_paddy.tracking.ui.layout import ALL_SEARCHES, curves_view, members_view, view_address

    if not shown:
        return [page]
    experiment, curves = shown[0].experiment_id, curves_view(shown[0].name)
    table = ALL_SEARCHES if named is None else members_view(named)
    return [view_address(page, experiment, table), view_address(page, experiment, curves, charts=True)]


def _serve(store: "Store", port: int | None, ready: "Callable[[str], None]") -> None:
    """Run an MLflow server of this machine until Ctrl-C, and call `ready` with its address.

    Raises:
        InputError: The port is taken.
        TunePaddyError: The server does not start, or stops.
    """
    from tune_paddy.tracking.ui.server import HOST, mlflow_page

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM must stop the server, too
    console.print(f"Starting MLflow on {store.address}", soft_wrap=True)
    try:
        with mlflow_page(store.tracking_uri, port) as (server, number):
            ready(f"http://{HOST}:{number}")
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
