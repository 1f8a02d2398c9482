"""The select command: an ensemble from finished members."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_paddy.cli.app import (
    HandWeightsOption,
    MethodOption,
    MetricOption,
    RunsOption,
    UriOption,
    app,
    console,
)

if TYPE_CHECKING:
    from tune_paddy.ensemble.build import Ensemble
    from tune_paddy.ensemble.choose import Wishes
    from tune_paddy.tracking.store import Store


@app.command()
def select(
    searches: Annotated[list[str], typer.Argument(help="Names of one or several searches.")],
    metric: MetricOption = "log_loss",
    method: MethodOption = "auto",
    weights: HandWeightsOption = None,
    max_members: Annotated[int | None, typer.Option(help="Most members in the ensemble.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Most minutes to predict the test set.")] = None,
    max_size: Annotated[float | None, typer.Option(help="Most MiB of weights.")] = None,
    speed_factor: Annotated[float, typer.Option(help="How much slower the machine that predicts is.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the selection methods.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the files; default RUNS/SEARCH.")] = None,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Select an ensemble from finished members, and write the submission.

    Example: tune-paddy select my-search --metric error_rate
    """
    from tune_paddy.ensemble.choose import Wishes
    from tune_paddy.tracking.store import open_store

    wishes = Wishes(
        metric, method, tuple(weights or ()), max_members, max_minutes, max_size, speed_factor, seed
    )
    store = open_store(tracking_uri, experiment=None, artifact_root=runs / "artifacts", create=False)
    select_and_print(store, searches, runs, wishes, out=out)


def select_and_print(
    store: "Store",
    searches: list[str],
    runs: Path,
    wishes: "Wishes | None" = None,
    *,
    out: Path | None = None,
) -> "Ensemble":
    """Build an ensemble, print it, and say where its submission is."""
    from tune_paddy.ensemble.build import build_ensemble
    from tune_paddy.ensemble.report import print_ensemble

    folder = out or runs / searches[0]
    ensemble = build_ensemble(store, searches, folder=folder, wishes=wishes)
    print_ensemble(console, ensemble)
    if ensemble.submission is not None:
        console.print(f"Submission: {ensemble.submission}", soft_wrap=True)
    return ensemble
