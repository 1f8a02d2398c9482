"""The select command: an ensemble from finished members."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tune_paddy.cli.app import (
    RunsOption,
    UriOption,
    WeightsDirOption,
    app,
    check_pretrained,
    console,
    open_record,
    record_command,
    typed_command,
    working,
)
from tune_paddy.cli.completion import complete_search
from tune_paddy.cli.ensembles.option import RefittedOption
from tune_paddy.cli.ensembles.use import print_standing
from tune_paddy.cli.settings_options import OptionSource, command_with, given
from tune_paddy.core.errors import InputError, SearchInterruptedError
from tune_paddy.data.system.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tune_paddy.data.dataset import Dataset
    from tune_paddy.ensemble.ensemble import Ensemble
    from tune_paddy.ensemble.options import SelectionOptions
    from tune_paddy.search.plan import SearchPlan
    from tune_paddy.search.refit import RefitMember
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store

RefitOption = Annotated[
    Literal["all"] | None,
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
    name: Annotated[
        str | None, typer.Option(help="Name of the ensemble; default: its method and limits.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for a copy of the files.", file_okay=False)] = None,
    refit: RefitOption = None,
    ensemble: RefittedOption = None,
    weights_dir: WeightsDirOption = None,
    ray_address: RayAddressOption = None,
    verbose: VerboseOption = False,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Select an ensemble from finished members, and write the submission.

    With --refit, --ensemble names a recorded ensemble to retrain instead of a new one.

    Example: tune-paddy select my-search --metric error_rate
    """
    from tune_paddy.ensemble.fixed_weights import parse_weights
    from tune_paddy.ensemble.options import SelectionOptions
    from tune_paddy.tracking.runs import check_name

    check_refit(refit)
    if name is not None:
        check_name(name, "ensemble")
    searches = list(dict.fromkeys(searches))
    typed = given(context, SELECTION)
    options = SelectionOptions(**{**typed, "weights": tuple(typed.get("weights", ()))})
    parse_weights(options.weights)  # refused before MLflow is imported
    machine = Machine(weights_dir, ray_address)
    if ensemble is not None:
        _refuse_selection(refit, typed, searches, name or out)
        store = open_record(tracking_uri, runs, *searches, ensemble=ensemble)
        _refit_recorded(store, searches[0], ensemble, runs, machine)
        return
    store = open_record(tracking_uri, runs, *searches)
    chosen = select_and_print(store, searches, runs, options, name=name, out=out, verbose=verbose)
    if refit is not None:
        refit_and_print(store, chosen, searches, runs, machine, resume=typed_command())


def _refuse_selection(
    refit: str | None, typed: dict[str, Any], searches: list[str], other: object = None
) -> None:
    """Refuse options of a selection beside the name of an ensemble that is already selected.

    Raises:
        InputError: There is such an option, or no refit.
    """
    if refit is None or typed or len(searches) > 1 or other is not None:
        raise InputError(
            "`ensemble` names one that is already selected, to retrain it: give one search and --refit all, "
            "and no options of a selection",
            options=("ensemble",),
        )


def _refit_recorded(store: "Store", search: str, name: str, runs: Path, machine: Machine) -> None:
    """Retrain the members of a recorded ensemble."""
    from tune_paddy.ensemble.recorded import load_recorded
    from tune_paddy.tracking.ensembles import read_recorded_ensemble
    from tune_paddy.tracking.lookup.ensembles import get_ensemble

    run = get_ensemble(store, search, name)
    described = read_recorded_ensemble(store, run)
    if described.refit is not None:
        raise InputError(f"ensemble {name!r} of {search!r} is a refit already")
    ensemble = load_recorded(store, run)
    refit_and_print(store, ensemble, list(described.searches), runs, machine, resume=typed_command())


def select_and_print(
    store: "Store",
    searches: list[str],
    runs: Path,
    options: "SelectionOptions | None" = None,
    *,
    name: str | None = None,
    out: Path | None = None,
    verbose: bool = False,
) -> "Ensemble":
    """Build an ensemble, then print its score, its members, the paths of its files and what comes next.

    Args:
        store: The record.
        searches: Names of the searches to select from.
        runs: Folder of searches.
        options: Options of the selection; None: the defaults.
        name: Name of the ensemble; None: that of its method and its limits.
        out: Folder for a copy of the files; None: none.
        verbose: Whether to print how the ensemble was selected.
    """
    with working("importing the selection methods") as progress:
        from tune_paddy.ensemble.build import build_ensemble

        search = runs / searches[0]
        ensemble = build_ensemble(
            store, searches, folder=search, options=options, name=name, progress=progress
        )
    from tune_paddy.ensemble.folders import publish
    from tune_paddy.ensemble.reports.details import print_details
    from tune_paddy.ensemble.reports.next_steps import next_steps
    from tune_paddy.ensemble.reports.summary import print_summary

    if out is not None:
        publish(ensemble.folder, out)
    if verbose:
        print_details(console, ensemble)
    print_summary(console, ensemble, searches)
    print_standing(ensemble, searches[0], store)
    steps = next_steps(store, ensemble, searches, runs, lambda *words: record_command(store, *words))
    _print_places(ensemble, out or (search if ensemble.standing.current else ensemble.folder), steps)
    return ensemble


def _print_places(ensemble: "Ensemble", folder: Path, steps: dict[str, str]) -> None:
    """Print paths and commands, each on one line of any length, quoted so that it can be copied."""
    from tune_paddy.ensemble.reports.html import REPORT

    submission = ensemble.submission
    places = {
        "Submission": "" if submission is None else shlex.quote(str(folder / submission.name)),
        "Report": shlex.quote(str(folder / REPORT)),
        **steps,
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
    with working("importing Ray"):
        from tune_paddy.search.refit import members_to_refit
    from tune_paddy.tracking.runs import get_search

    search = get_search(store, searches[0])
    dataset = dataset or _reopen_dataset(search)
    members = members_to_refit(store, searches, ensemble.pool.views, ensemble.selection)
    plan = _refit_plan(search, dataset, members, runs, machine)
    check_pretrained(plan)
    images = counted(len(dataset.labelled), "labelled image")
    console.print(f"Refit {plan.name}: {counted(len(members), 'member')} on all {images}")
    writable = replace(store, experiment_id=search.experiment_id)
    _train_refit(plan, members, writable, ensemble, searches, resume=resume)
    refitted = _write_refit(plan, members, writable, ensemble, searches)
    _print_refit(store, plan, refitted, ensemble, searches)


def _refit_plan(
    search: "RecordedRun",
    dataset: "Dataset",
    members: "Sequence[RefitMember]",
    runs: Path,
    machine: Machine,
) -> "SearchPlan":
    """Return the plan of a refit on a machine."""
    from tune_paddy.search.refit import refit_plan
    from tune_paddy.search.resources import uncounted_gpus

    return replace(
        refit_plan(search, dataset, members, runs=runs),
        weights_dir=machine.weights_dir,
        ray_address=machine.ray_address,
        ray_gpus=uncounted_gpus(),
        command=typed_command(),
    )


def _train_refit(
    plan: "SearchPlan",
    members: "Sequence[RefitMember]",
    store: "Store",
    ensemble: "Ensemble",
    searches: list[str],
    *,
    resume: str,
) -> None:
    """Retrain members, see `refit_and_print`."""
    from tune_paddy.search.refit import run_refit
    from tune_paddy.tracking.schema import SearchRecord

    tags = SearchRecord.tags_of(refit_of=tuple(searches), refit_of_ensemble=ensemble.run_id)
    try:
        with working() as progress:
            run_refit(plan, members, store, console=console, tags=tags, progress=progress)
    except SearchInterruptedError as error:
        if resume:
            error.add_note(f"to resume it: {resume}")
        raise


def _write_refit(
    plan: "SearchPlan",
    members: "Sequence[RefitMember]",
    store: "Store",
    ensemble: "Ensemble",
    searches: list[str],
) -> "Ensemble":
    """Write and record the ensemble of retrained members, with the weights that it was selected with."""
    from tune_paddy.ensemble.refit import write_refitted
    from tune_paddy.search.refit import carry_over
    from tune_paddy.tracking.pool import load_pool

    pool, selection = carry_over(ensemble.selection, ensemble.pool.views, load_pool(store, [plan.name]))
    return write_refitted(
        store,
        ensemble,
        searches,
        name=plan.name,
        folder=plan.folder,
        pool=pool,
        selection=selection,
        members={member.name: member.run_id for member in members},
    )


def _print_refit(
    store: "Store", plan: "SearchPlan", refitted: "Ensemble", ensemble: "Ensemble", searches: list[str]
) -> None:
    """Print what is known of the quality of a refit, its submission, and the command that exports it."""
    from tune_paddy.ensemble.refit import quality_note

    console.print(quality_note(store, ensemble, searches), soft_wrap=True)
    print_standing(refitted, plan.name, store)
    if refitted.submission is not None:
        folder = plan.folder if refitted.standing.current else refitted.folder
        path = shlex.quote(str(folder / refitted.submission.name))
        console.print(f"Submission of the refitted members: {path}", soft_wrap=True)
    export = record_command(store, "export", plan.name, f"{plan.name}-model")
    console.print(f"Export:     {export}", soft_wrap=True)


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
    with working("reading images and labels"):
        dataset = Dataset.open(path, **record.read_options.given())
    if dataset.fingerprint != record.dataset_fingerprint:
        raise InputError(
            f"{path}: holds other images or labels than when search {search.name!r} began: restore them, "
            "or start a new search"
        )
    return dataset
