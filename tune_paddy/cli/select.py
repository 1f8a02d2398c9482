"""The select command: an ensemble from finished members."""

import json
import platform
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_paddy.cli.app import (
    HandWeightsOption,
    MethodOption,
    MetricOption,
    RunsOption,
    UriOption,
    WeightsDirOption,
    app,
    console,
)
from tune_paddy.core.errors import InputError

if TYPE_CHECKING:
    from tune_paddy.data.dataset import Dataset
    from tune_paddy.ensemble.build import Ensemble
    from tune_paddy.ensemble.choose import Wishes
    from tune_paddy.search.refit import RefitMember
    from tune_paddy.search.run import SearchPlan
    from tune_paddy.tracking.runs import RecordedRun
    from tune_paddy.tracking.store import Store

RefitOption = Annotated[
    str | None,
    typer.Option("--refit", help="all: train the chosen members again on all labelled images."),
]
RayAddressOption = Annotated[str | None, typer.Option(help="Ray cluster; default: this machine.")]
REFIT_OF = "tune_paddy.refit_of"
SEEN = "Refitted members have seen every labelled image: what is known of their quality is the estimate of"
"""Begins the note that goes wherever a refit is shown; the name of the ensemble follows."""


@dataclass(frozen=True)
class Machine:
    """Where a refit trains.

    Attributes:
        weights_dir: Folder of pretrained weights, or None.
        ray_address: Of a cluster, or None for this machine.
    """

    weights_dir: Path | None = None
    ray_address: str | None = None


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
    refit: RefitOption = None,
    weights_dir: WeightsDirOption = None,
    ray_address: RayAddressOption = None,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Select an ensemble from finished members, and write the submission.

    Example: tune-paddy select my-search --metric error_rate
    """
    from tune_paddy.ensemble.choose import Wishes
    from tune_paddy.tracking.store import open_store

    check_refit(refit)
    wishes = Wishes(
        metric, method, tuple(weights or ()), max_members, max_minutes, max_size, speed_factor, seed
    )
    store = open_store(tracking_uri, experiment=None, artifact_root=runs / "artifacts", create=False)
    ensemble = select_and_print(store, searches, runs, wishes, out=out)
    if refit is not None:
        refit_and_print(store, ensemble, searches, runs, Machine(weights_dir, ray_address))


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

    for name in searches:
        _refuse_refit(store, name)
    folder = out or runs / searches[0]
    ensemble = build_ensemble(store, searches, folder=folder, wishes=wishes)
    print_ensemble(console, ensemble)
    if ensemble.submission is not None:
        console.print(f"Submission: {ensemble.submission}", soft_wrap=True)
    return ensemble


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
    from tune_paddy.search.refit import members_to_refit, refit_plan, run_refit
    from tune_paddy.tracking.runs import get_search

    search = get_search(store, searches[0])
    dataset = dataset or _reopen_dataset(search)
    members = members_to_refit(store, searches, ensemble.pool.views, ensemble.selection)
    plan = replace(
        refit_plan(search, dataset, members, runs=runs),
        weights_dir=machine.weights_dir,
        ray_address=machine.ray_address,
        ray_gpus=1 if platform.machine() == "arm64" and sys.platform == "darwin" else None,
        command=shlex.join(["tune-paddy", *sys.argv[1:]]),
    )
    images = f"{len(dataset.labelled):,} labelled images"
    console.print(f"Refit [bold]{plan.name}[/bold]: {len(members)} members on all {images}")
    tags = {"refit_of": ", ".join(searches), "refit_of_ensemble": ensemble.run_id}
    writable = replace(store, experiment_id=search.experiment_id)
    run_refit(plan, members, writable, console=console, tags=tags)
    refitted = _write_refitted(writable, ensemble, searches, plan, members)
    console.print(_note(ensemble, searches), markup=False, soft_wrap=True)
    if refitted.submission is not None:
        console.print(f"Submission of the refitted members: {refitted.submission}", soft_wrap=True)


def _refuse_refit(store: "Store", name: str) -> None:
    from tune_paddy.tracking.runs import get_search

    before = get_search(store, name).tags.get(REFIT_OF)
    if before:
        raise InputError(
            f"search {name!r} is a refit, whose members have seen the select split: select from {before}"
        )


def _reopen_dataset(search: "RecordedRun") -> "Dataset":
    """Open the dataset of a search where it was, and make sure that it is the same."""
    from tune_paddy.data.dataset import Dataset

    path = Path(search.tags.get("tune_paddy.dataset_path") or search.tags.get("tune_paddy.dataset", ""))
    if not path.exists():
        raise InputError(
            f"the images of search {search.name!r} are no longer at {path}: bring them back there to train "
            "on them again"
        )
    # What was left out before is left out again, and the fingerprint tells whether it is the same.
    dataset = Dataset.open(path, skip_corrupt=True, skip_conflicts=True)
    if dataset.fingerprint != search.tags.get("tune_paddy.dataset_fingerprint"):
        raise InputError(
            f"{path}: holds other images or labels than when search {search.name!r} was made: bring them "
            "back, or search again"
        )
    return dataset


def _note(ensemble: "Ensemble", searches: list[str]) -> str:
    whose = f"{SEEN} the ensemble selected from {', '.join(searches)} (run {ensemble.run_id})"
    if ensemble.assessment is None:
        return f"{whose}, which has none."
    estimate = ensemble.assessment.estimate
    numbers = f"{estimate.score:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"
    return f"{whose}: {ensemble.selection.metric} {numbers}."


def _write_refitted(
    store: "Store",
    original: "Ensemble",
    searches: list[str],
    plan: "SearchPlan",
    members: "tuple[RefitMember, ...]",
) -> "Ensemble":
    """Blend the refitted members with the selection's weights; write and record what comes of it."""
    from tune_paddy.ensemble.build import ENSEMBLE, describe, member_weights
    from tune_paddy.search.refit import carry_over
    from tune_paddy.tracking.ensembles import log_ensemble
    from tune_paddy.tracking.pool import load_pool

    pool, selection = carry_over(original.selection, original.pool.views, load_pool(store, [plan.name]))
    ensemble = replace(
        original,
        pool=pool,
        selection=selection,
        contributions={},
        redundancies={},
        folder=plan.folder,
        run_id="",
    )
    note = _note(original, searches)
    described = describe(ensemble, [plan.name])
    described["refit"] = {
        "searches": searches,
        "ensemble_run_id": original.run_id,
        "members": {member.name: member.run_id for member in members},
        "note": note,
    }
    files = [plan.folder / ENSEMBLE]
    files[0].write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    if ensemble.submission is not None:
        _write_submission(ensemble, ensemble.submission, plan.dataset)
        files.append(ensemble.submission)
    run_id = log_ensemble(
        store,
        search=plan.name,
        selection_dict=described,
        files=files,
        metrics={},
        params={"method": selection.method, "metric": selection.metric, "refit_of": original.run_id},
        weights=member_weights(ensemble),
        description=note,
    )
    return replace(ensemble, run_id=run_id)


def _write_submission(ensemble: "Ensemble", path: Path, dataset: "Dataset") -> None:
    from tune_paddy.data.submission import SAMPLE, check_submission, write_submission
    from tune_paddy.ensemble.build import predicted_labels

    labels = predicted_labels(ensemble.selection.blend(ensemble.pool.test), ensemble.pool.classes)
    write_submission(path, ensemble.pool.test_ids.tolist(), labels, dataset.submission)
    sample = dataset.root / SAMPLE
    if sample.is_file():
        try:
            check_submission(path, sample, ensemble.pool.classes)
        except InputError:
            path.unlink()
            raise
