"""The option that names an ensemble of a search."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from tune_paddy.cli.completion import RUNS

FOLDERS = "ensembles"
"""Folder of a search's ensembles; completion does not read the record."""


def complete_ensemble(context: typer.Context, incomplete: str) -> Iterator[str]:
    """Complete the name of an ensemble of the search that the line names, or else of any search."""
    typed: dict[str, Any] = context.params
    search = next((typed[name] for name in ("search", "what", "model") if typed.get(name)), "*")
    names = sorted({path.parent.name for path in RUNS.glob(f"{search}/{FOLDERS}/*/ensemble.json")})
    return (name for name in names if name.startswith(incomplete))


EnsembleOption = Annotated[
    str | None,
    typer.Option(
        "--ensemble",
        "-e",
        help="Ensemble of the search: a name from `show`, or an MLflow run ID; default: the current one.",
        autocompletion=complete_ensemble,
    ),
]
RefittedOption = Annotated[
    str | None,
    typer.Option(
        "--ensemble",
        "-e",
        help="With --refit: recorded ensemble to train again; default: the one selected now.",
        autocompletion=complete_ensemble,
    ),
]
EnsembleArgument = Annotated[
    str, typer.Argument(help="Name of the ensemble, from `show`.", autocompletion=complete_ensemble)
]
