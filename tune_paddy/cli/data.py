"""Commands around data: check it, fetch weights, send a submission."""

from pathlib import Path
from typing import Annotated

import typer

from tune_paddy.cli.app import (
    DataArgument,
    SkipConflictsOption,
    SkipCorruptOption,
    app,
    console,
    load_space,
    open_dataset,
    print_dataset,
)
from tune_paddy.core.errors import InputError

weights_app = typer.Typer(help="Pretrained weights for machines without a network.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")
data_app = typer.Typer(help="Look at data before training on it.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@app.command()
def submit(
    submission: Annotated[Path, typer.Argument(help="submission.csv")],
    message: Annotated[str, typer.Option("--message", "-m", help="Shown beside it.")] = "tune-paddy",
    competition: Annotated[str, typer.Option(help="Kaggle's name of it.")] = "paddy-disease-classification",
) -> None:
    """Send a submission to Kaggle with its official client.

    Example: tune-paddy submit runs/my-search/submission.csv -m "first ensemble"
    """
    from tune_paddy.data.kaggle import find_client
    from tune_paddy.data.kaggle import submit as send

    if not submission.is_file():
        raise InputError(f"there is no file {submission}; `tune-paddy select SEARCH` writes one")
    console.print(send(find_client(), submission, message, competition))


@weights_app.command("fetch")
def fetch(
    space: Annotated[str, typer.Argument(help="Search space: a file or a shipped name.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for the weights.")] = Path("weights"),
) -> None:
    """Save the pretrained weights that a search space needs, for machines without a network.

    Example: tune-paddy weights fetch road_to_the_top --to weights
    """
    from tune_paddy.training.weights import fetch_weights

    archs = load_space(space).architectures()
    fetch_weights(archs, to, done=lambda arch, path: console.print(f"{arch}: {path}", soft_wrap=True))


@data_app.command("check")
def check(
    data: DataArgument,
    skip_corrupt: SkipCorruptOption = False,
    skip_conflicts: SkipConflictsOption = False,
) -> None:
    """Check every image and label, and say what was found.

    Example: tune-paddy data check paddy/
    """
    from tune_paddy.core.config import SearchSettings
    from tune_paddy.data.split import make_select_split

    dataset = open_dataset(data, (skip_corrupt, skip_conflicts))
    print_dataset(dataset)
    settings = SearchSettings()
    split = make_select_split(dataset, share=settings.select_share, seed=settings.seed)
    console.print(
        f"A select split of {len(split.select_ids):,} images leaves {len(split.train_ids):,} to train on"
    )
