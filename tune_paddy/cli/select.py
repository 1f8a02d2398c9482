"""The select command: an ensemble from finished members."""

import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_paddy.cli.app import (
    RunsOption,
    UriOption,
    WeightsDirOption,
    app,
    check_pretrained,
    console,
    typed_command,
)
from tune_paddy.cli.completion import complete_search
from tune_paddy.cli.settings_options import OptionSource, command_with, given
from tune_paddy.core.errors import InputError, SearchInterruptedError

if TYPE_CHECKING:
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.ensemble.ensemble import Ensemble
    from tune_paddy.ensemble.options import SelectionOptions
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store

RefitOption = Annotated[
    str | None,
    typer.Option(
        "--refit",
        help="all: train the chosen members again on all labelled images.",
        rich_help_panel="Selection",
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print first how the ensemble came about, with every view.")
]
RayAddressOption = Annotated[str | None, typer.Option(help="Ray cluster; default: this machine.")]


@dataclass(frozen=True)
class Machine:
    """Where a refit trains.

    Attributes:
        weights_dir: Folder of pretrained weights, or None.
        ray_address: Of a cluster, or None for this machine.
    """

    weights_dir: Path | None = None
    ray_address: str | None = None


def selection_options() -> type[Any]:
    """The class of the options of a selection, imported where they are asked for."""
    from tune_paddy.ensemble.options import SelectionOptions

    return SelectionOptions


SELECTION = OptionSource(selection_options, letters={"weights": "-w"})


@app.command(cls=command_with(SELECTION))
def select(
    context: typer.Context,
    searches: Annotated[
        list[str], typer.Argument(help="Names of one or several searches.", autocompletion=complete_search)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the files; default RUNS/SEARCH.", file_okay=False)
    ] = None,
    refit: RefitOption = None,
    weights_dir: WeightsDirOption = None,
    ray_address: RayAddressOption = None,
    verbose: VerboseOption = False,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Select an ensemble from finished members, and write the submission.

    Example: tune-paddy select my-search --metric error_rate
    """
    from tune_paddy.ensemble.options import SelectionOptions
    from tune_paddy.tracking.store import open_store

    check_refit(refit)
    searches = list(dict.fromkeys(searches))
    typed = given(context, SELECTION)
    options = SelectionOptions(**{**typed, "weights": tuple(typed.get("weights", ()))})
    store = open_store(tracking_uri, experiment=None, artifact_root=runs / "artifacts", create=False)
    ensemble = select_and_print(store, searches, runs, options, out=out, verbose=verbose)
    if refit is not None:
        refit_and_print(store, ensemble, searches, runs, Machine(weights_dir, ray_address))


def select_and_print(
    store: "Store",
    searches: list[str],
    runs: Path,
    options: "SelectionOptions | None" = None,
    *,
    out: Path | None = None,
    verbose: bool = False,
    browse: str = "",
) -> "Ensemble":
    """Build an ensemble, print it, and say where its files are.

    Args:
        store: The record.
        searches: What to select from.
        runs: Folder of searches.
        options: For the selection.
        out: Folder of the files; None: that of the first search.
        verbose: Also print how the ensemble came about.
        browse: Command that opens the search; empty: none is named.
    """
    from tune_paddy.ensemble.build import build_ensemble
    from tune_paddy.ensemble.reports.summary import print_summary
    from tune_paddy.ensemble.reports.terminal import print_details

    folder = out or runs / searches[0]
    ensemble = build_ensemble(store, searches, folder=folder, options=options)
    if verbose:
        print_details(console, ensemble)
    print_summary(console, ensemble, searches)
    _print_places(ensemble, browse)
    return ensemble


def browse_command(search: str, store: "Store") -> str:
    """The command that opens a search's page; it names the record where that is not found without."""
    from tune_paddy.tracking.store import URI_VARIABLE, resolve_uri

    found = store.tracking_uri == resolve_uri(os.environ.get(URI_VARIABLE) or None)
    return shlex.join(["tune-paddy", "ui", search, *([] if found else ["--tracking-uri", store.address])])


def _print_places(ensemble: "Ensemble", browse: str) -> None:
    """Say where the files are and how to look at them; lines that can be copied, however long they are."""
    from tune_paddy.ensemble.reports.html import REPORT

    submission = ensemble.submission
    places = {
        "Submission": "" if submission is None else shlex.quote(str(submission)),
        "Report": shlex.quote(str(ensemble.folder / REPORT)),
        "Browse": browse,
    }
    console.print()
    for what, where in places.items():
        if where:
            console.print(f"{what + ':':<11} {where}", soft_wrap=True)


def check_refit(refit: str | None) -> None:
    """Refuse a refit on anything but all images, before anything is trained.

    Raises:
        InputError: It is neither None nor `all`.
    """
    if refit not in (None, "all"):
        raise InputError(f"--refit {refit!r}: only `all` is known, which trains on all labelled images")


def refit_and_print(
    store: "Store",
    ensemble: "Ensemble",
    searches: list[str],
    runs: Path,
    machine: Machine,
    dataset: "Dataset | None" = None,
) -> None:
    """Train the members of an ensemble again on all labelled images, and write their submission.

    Args:
        store: The record.
        ensemble: As it was selected and recorded.
        searches: What it was selected from.
        runs: Folder for everything that is written.
        machine: Where to train.
        dataset: Of the searches; None: opened again from where it was.

    Raises:
        InputError: The dataset is gone or has changed.
        TunePaddyError: A member could not be trained; what was trained is kept for the next call.
    """
    from tune_paddy.ensemble.refit import quality_note, write_refitted
    from tune_paddy.search.refit import carry_over, members_to_refit, refit_plan, run_refit
    from tune_paddy.search.resources import uncounted_gpus
    from tune_paddy.tracking.pool import load_pool
    from tune_paddy.tracking.runs import get_search

    search = get_search(store, searches[0])
    dataset = dataset or _reopen_dataset(search)
    members = members_to_refit(store, searches, ensemble.pool.views, ensemble.selection)
    plan = replace(
        refit_plan(search, dataset, members, runs=runs),
        weights_dir=machine.weights_dir,
        ray_address=machine.ray_address,
        ray_gpus=uncounted_gpus(),
        command=typed_command(),
    )
    check_pretrained(plan)
    images = f"{len(dataset.labelled):,} labelled images"
    console.print(f"Refit {plan.name}: {len(members)} members on all {images}")
    tags = {"refit_of": ", ".join(searches), "refit_of_ensemble": ensemble.run_id}
    writable = replace(store, experiment_id=search.experiment_id)
    try:
        run_refit(plan, members, writable, console=console, tags=tags)
    except SearchInterruptedError as error:
        error.add_note("`tune-paddy select` with --refit all resumes it")
        raise
    pool, selection = carry_over(ensemble.selection, ensemble.pool.views, load_pool(writable, [plan.name]))
    refitted = write_refitted(
        writable,
        ensemble,
        searches,
        name=plan.name,
        folder=plan.folder,
        pool=pool,
        selection=selection,
        members={member.name: member.run_id for member in members},
    )
    console.print(quality_note(ensemble, searches), soft_wrap=True)
    if refitted.submission is not None:
        console.print(f"Submission of the refitted members: {refitted.submission}", soft_wrap=True)


def _reopen_dataset(search: "RecordedRun") -> "Dataset":
    """Open the dataset of a search where it was, and make sure that it is the same."""
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.tracking.schema import SearchRecord

    record = SearchRecord.from_run(search)
    path = record.images or Path()
    if not path.exists():
        raise InputError(
            f"the images of search {search.name!r} are no longer at {path}: bring them back there to train "
            "on them again"
        )
    # What was left out before is left out again, and the fingerprint tells whether it is the same.
    dataset = Dataset.open(path, skip_corrupt=True, skip_conflicts=True)
    if dataset.fingerprint != record.dataset_fingerprint:
        raise InputError(
            f"{path}: holds other images or labels than when search {search.name!r} was made: bring them "
            "back, or search again"
        )
    return dataset
