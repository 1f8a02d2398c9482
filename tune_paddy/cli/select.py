"""The select command: an ensemble from finished members."""

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
    record_command,
    typed_command,
)
from tune_paddy.cli.completion import complete_search
from tune_paddy.cli.settings_options import OptionSource, command_with, given
from tune_paddy.core.errors import InputError, SearchInterruptedError
from tune_paddy.data.system.text import counted

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
        help="all: retrain the selected members on all labelled images.",
        rich_help_panel="Selection",
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also print how the ensemble was selected, with every view.")
]
RayAddressOption = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster; default: this machine.")
]


@dataclass(frozen=True)
class Machine:
    """Machine that a refit trains on.

    Attributes:
        weights_dir: Folder of pretrained weights, or None.
        ray_address: Address of a Ray cluster; None: this machine.
    """

    weights_dir: Path | None = None
    ray_address: str | None = None


def selection_options() -> type[Any]:
    """Import and return the class of the options of a selection."""
    from tune_paddy.ensemble.options import SelectionOptions

    return SelectionOptions


SELECTION = OptionSource(selection_options, letters={"weights": "-w"})


@app.command(cls=command_with(SELECTION))
def select(
    context: typer.Context,
    searches: Annotated[
        list[str], typer.Argument(help="Names of one or more searches.", autocompletion=complete_search)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; default: RUNS/SEARCH.", file_okay=False)
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
        machine = Machine(weights_dir, ray_address)
        refit_and_print(store, ensemble, searches, runs, machine, resume=typed_command())


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
    """Build an ensemble, then print it and the paths of its files.

    Args:
        store: The record.
        searches: Names of the searches to select from.
        runs: Folder of searches.
        options: Options of the selection; None: the defaults.
        out: Folder for the files; None: the folder of the first search.
        verbose: Whether to print how the ensemble was selected.
        browse: Command that opens the search in MLflow; empty: none is printed.
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
    """Return the command that opens a search in MLflow."""
    return record_command(store, "ui", search)


def _print_places(ensemble: "Ensemble", browse: str) -> None:
    """Print paths and the command to browse, each on one line of any length so that it can be copied."""
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
    """Validate --refit before the training starts.

    Raises:
        InputError: The value is neither None nor `all`.
    """
    if refit not in (None, "all"):
        raise InputError(f"--refit {refit!r}: the only value is `all`, which trains on all labelled images")


def refit_and_print(
    store: "Store",
    ensemble: "Ensemble",
    searches: list[str],
    runs: Path,
    machine: Machine,
    dataset: "Dataset | None" = None,
    *,
    resume: str = "",
) -> None:
    """Retrain the members of an ensemble on all labelled images, and write their submission.

    Args:
        store: The record.
        ensemble: Selected and recorded ensemble.
        searches: Names of the searches that it was selected from.
        runs: Folder of searches.
        machine: Machine to train on.
        dataset: Dataset of the searches; None: opened from its recorded path.
        resume: Command that resumes an interrupted refit; empty: none is named.

    Raises:
        InputError: The dataset is gone or has changed.
        SearchInterruptedError: A signal interrupted the refit.
        TunePaddyError: A member failed; trained members are kept for the next call.
    """
    from tune_paddy.ensemble.refit import quality_note, write_refitted
    from tune_paddy.search.refit import carry_over, members_to_refit, refit_plan, run_refit
    from tune_paddy.search.resources import uncounted_gpus
    from tune_paddy.tracking.pool import load_pool
    from tune_paddy.tracking.runs import get_search
    from tune_paddy.tracking.schema import SearchRecord

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
    images = counted(len(dataset.labelled), "labelled image")
    console.print(f"Refit {plan.name}: {counted(len(members), 'member')} on all {images}")
    tags = SearchRecord.tags_of(refit_of=tuple(searches), refit_of_ensemble=ensemble.run_id)
    writable = replace(store, experiment_id=search.experiment_id)
    try:
        run_refit(plan, members, writable, console=console, tags=tags)
    except SearchInterruptedError as error:
        if resume:
            error.add_note(f"to resume it: {resume}")
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
    """Open the dataset of a search from its recorded path.

    Raises:
        InputError: The dataset is gone or has changed.
    """
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.tracking.schema import SearchRecord

    record = SearchRecord.from_run(search)
    path = record.images or Path()
    if not path.exists():
        raise InputError(
            f"the images of search {search.name!r} are no longer at {path}: restore them there to refit"
        )
    dataset = Dataset.open(path, **record.read_options.given())
    if dataset.fingerprint != record.dataset_fingerprint:
        raise InputError(
            f"{path}: holds other images or labels than when search {search.name!r} began: restore them, "
            "or start a new search"
        )
    return dataset
