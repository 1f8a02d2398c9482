"""Commands for data: fetch it, check it, fetch pretrained weights."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tune_paddy.cli.app import (
    DataArgument,
    app,
    console,
    load_space,
    open_dataset,
    print_dataset,
    print_note,
    read_options,
    working,
)
from tune_paddy.cli.completion import complete_space
from tune_paddy.cli.failures import with_flags
from tune_paddy.cli.settings_options import LICENCES, OptionSource, command_with, given
from tune_paddy.data.system.text import counted

READING = OptionSource(read_options)

weights_app = typer.Typer(help="Pretrained weights for machines without a network.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")
data_app = typer.Typer(help="Fetch and check data before training.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@weights_app.command("fetch", cls=command_with(LICENCES))
def fetch(
    context: typer.Context,
    space: Annotated[
        str, typer.Argument(help="Search space: a file or a shipped name.", autocompletion=complete_space)
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder for the weights.", file_okay=False)] = Path(
        "weights"
    ),
) -> None:
    """Download the pretrained weights that a search space needs, for machines without a network.

    Without --licences, the setting of the space counts.

    Example: tune-paddy weights fetch road_to_the_top --to weights
    """
    from tune_paddy.search.licences import licence_note, with_licences
    from tune_paddy.training.networks.pretrained import check_reach, fetch_weights

    loaded = load_space(space)
    allowed = with_licences(loaded, loaded.settings.override(given(context, LICENCES)).licences)
    print_note(licence_note(allowed))
    archs = allowed.architectures()
    with working("looking for the weights") as progress:
        check_reach(archs, to)
        fetch_weights(archs, to, done=_print_file, progress=progress)


def _print_file(arch: str, path: Path) -> None:
    from tune_paddy.training.networks.licences import weights_origin

    console.print(f"{arch}: {path}, licence {weights_origin(arch, True).licence}", soft_wrap=True)


@data_app.command("fetch")
def fetch_data(
    competition: Annotated[str, typer.Argument(help="Kaggle's name of the competition, as in its address.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder; default: data/COMPETITION.", file_okay=False)
    ] = None,
) -> None:
    """Download the images of a Kaggle competition, or find them if they are mounted or already fetched.

    Example: tune-paddy data fetch paddy-disease-classification
    """
    from tune_paddy.data.kaggle.client import find_client
    from tune_paddy.data.kaggle.fetch import fetch_competition
    from tune_paddy.data.layouts.detect import list_dataset

    folder = fetch_competition(
        competition,
        to or Path("data") / competition,
        client=find_client,
        quiet=not console.is_terminal,
        say=lambda line: console.print(line, markup=False, soft_wrap=True),
    )
    listing = list_dataset(folder)
    command = shlex.join(["tune-paddy", "data", "check", str(folder)])
    console.print(f"{listing.describe().headline()}; next: {command}", markup=False, soft_wrap=True)


@data_app.command("push", cls=command_with(READING))
def push(
    context: typer.Context,
    data: DataArgument,
    storage: Annotated[str, typer.Argument(help="Shared folder, or an address such as s3://bucket/prefix.")],
) -> None:
    """Upload the images of a dataset to a storage, for searches on a cluster; skip those that it has.

    A search with --storage and --ray-address does the same before it trains.

    Example: tune-paddy data push paddy/ s3://bucket/prefix
    """
    from tune_paddy.data.storage.storage import Storage

    place = Storage.at(storage)
    place.check()
    dataset = open_dataset(data, given(context, READING))
    with working("listing the storage") as progress:
        from tune_paddy.data.member_data import image_set
        from tune_paddy.data.storage.images import push_images

        images = image_set(dataset)
        pushed = push_images(images, place, progress=progress)
    console.print(
        f"{place} has the {counted(len(images.paths), 'image')} of dataset {dataset.fingerprint}; "
        f"{pushed:,} uploaded now",
        soft_wrap=True,
    )


@data_app.command("check", cls=command_with(READING))
def check(
    context: typer.Context,
    data: DataArgument,
) -> None:
    """Print what is detected in a dataset, check every image and label, and print the findings.

    Example: tune-paddy data check paddy/
    """
    from tune_paddy.core.config import SearchSettings
    from tune_paddy.data.labels.balance import describe_balance
    from tune_paddy.data.labels.group_hint import group_hints
    from tune_paddy.data.split import describe_limits, folds_of, make_split

    dataset = open_dataset(data, given(context, READING))
    print_dataset(dataset)
    settings = SearchSettings()
    folds = folds_of(dataset, settings.folds, chosen=False)
    split = make_split(dataset, folds=folds, share=settings.select_share, seed=settings.seed)
    if folds:
        console.print(f"{folds} folds hold out {counted(len(split.select_ids), 'image')} in turn")
    else:
        console.print(
            f"A select split of {counted(len(split.select_ids), 'image')} leaves {len(split.train_ids):,} to "
            "train on"
        )
    used = (dataset.options.group, dataset.options.split_column)
    remarks = [
        *describe_limits(dataset, split),
        describe_balance(
            dict(dataset.description.classes),
            images=len(dataset.labelled) if dataset.task.independent else None,
        ),
        *group_hints(dataset.labelled, used=used),
    ]
    for line in filter(None, remarks):
        console.print(with_flags(line, ("group", "metric")), style="yellow", soft_wrap=True)
