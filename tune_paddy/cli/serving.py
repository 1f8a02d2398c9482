"""The commands that use an ensemble: export, predict, bundle."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tune_paddy.cli.app import RunsOption, UriOption, app, console, errors, open_record, working
from tune_paddy.cli.completion import complete_search
from tune_paddy.cli.ensembles.option import EnsembleOption
from tune_paddy.cli.ensembles.predictions import plan_submission, print_classes, write_sheet
from tune_paddy.core.errors import InputError, TunePaddyError
from tune_paddy.data.system.owned_folders import owned_folder
from tune_paddy.data.system.text import counted

if TYPE_CHECKING:
    from tune_paddy.serving.collect import Collected
    from tune_paddy.serving.ensemble_model import Answer, EnsembleModel
    from tune_paddy.tracking.store import Store
    from tune_paddy.training.inference import InferenceSettings

SearchArgument = Annotated[
    str, typer.Argument(help="Name of a search, or of its refit.", autocompletion=complete_search)
]
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def _device(name: str) -> str:
    """Return the name of a device if it has a known form; whether the device is here takes torch to tell."""
    if not _DEVICE.fullmatch(name):
        raise InputError(f"device {name!r}: use auto, cpu, cuda, cuda:1 or mps", options=("device",))
    return name


DeviceOption = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.", callback=_device)
]
TOLERANCE = 1e-5
"""Largest difference between probabilities on the same machine; another device or precision exceeds it."""


@app.command()
def export(
    search: SearchArgument,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder for the model.")],
    register: Annotated[
        str | None, typer.Option(help="Also register it as a version of this MLflow model.")
    ] = None,
    ensemble: EnsembleOption = None,
    device: DeviceOption = "auto",
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Write the ensemble as an MLflow model, and compare its predictions with the submission's.

    Example: tune-paddy export my-search model
    """
    store = _open_record(search, ensemble, tracking_uri, runs)
    again = _holds_already(folder, folder, store, search, ensemble)
    with working("importing torch and MLflow's models") as progress:
        settings = _settings(device)
        # Imported after the checks: torch and MLflow's models take seconds.
        from tune_paddy.serving.collect import collect
        from tune_paddy.serving.export import export as write
        from tune_paddy.serving.registry import register as register_model
        from tune_paddy.tracking.ui.server import SERVING_PORT

        progress.stage("reading the ensemble")
        collected = collect(store, search, runs=runs, ensemble=ensemble)
        progress.stage("writing the model")
        write(collected, folder)
    members = counted(len(collected.manifest.members), "member")
    done = "Exported already:" if again else "Exported"
    console.print(f"{done} {members}, {_mib(folder):,.1f} MiB: {folder}", soft_wrap=True)
    _check_and_print(collected, folder, settings)
    if register is not None:
        address = register_model(store, collected.manifest, folder, register)
        console.print(f"Registered: {address}", soft_wrap=True)
    console.print(f"Predict:    tune-paddy predict {shlex.quote(str(folder))} IMAGES", soft_wrap=True)
    command = [
        "mlflow",
        "models",
        "serve",
        "-m",
        str(folder),
        "--env-manager",
        "local",
        "--port",
        str(SERVING_PORT),
    ]
    console.print(f"Serve:      {shlex.join(command)}", soft_wrap=True)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="Exported folder, models:/NAME/VERSION, or a search.")],
    images: Annotated[list[str], typer.Argument(help="Image files, folders, or quoted patterns.")],
    out: Annotated[Path | None, typer.Option(help="CSV file; default: standard output.")] = None,
    submission: Annotated[
        Path | None,
        typer.Option(help="Also write the classes as a CSV of the form of the search's submission."),
    ] = None,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(help="Also write thumbnails with classes, least certain first, as .html or .png."),
    ] = None,
    ensemble: EnsembleOption = None,
    device: DeviceOption = "auto",
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Classify images: write a CSV with the three most probable classes of each, and print a summary.

    Images that cannot be read are skipped and listed, and the exit status is 1.

    Example: tune-paddy predict model photos/ --out answers.csv
    """
    from tune_paddy.data.system.files import write_atomically
    from tune_paddy.serving.answers import as_csv, find_images
    from tune_paddy.serving.predicted.contact_sheet import check_sheet

    if contact_sheet is not None:
        check_sheet(contact_sheet)
    files = find_images(images)
    with _opened(model, ensemble, tracking_uri, runs, device) as opened:
        planned = None if submission is None else plan_submission(opened, files, tracking_uri, runs)
        answer = _predict_with_progress(opened, files)
    if len(answer.broken) == len(files):
        raise TunePaddyError(_unreadable(files, answer) + "; nothing was written")
    content = as_csv(files, answer)
    if out is None:
        sys.stdout.write(content.decode())
        sys.stdout.flush()
    else:
        write_atomically(out, content)
        errors.print(f"{counted(len(files) - len(answer.broken), 'image')}: {out}", soft_wrap=True)
    if contact_sheet is not None:
        write_sheet(contact_sheet, files, answer)
    if planned is not None and submission is not None and not answer.broken:
        planned.write(submission, answer)
    print_classes(files, answer)
    for note in answer.notes:
        errors.print(note, style="yellow", soft_wrap=True)
    if answer.broken:
        gap = "" if planned is None else "; no submission was written, since it needs every image"
        raise TunePaddyError(_unreadable(files, answer) + gap)


def _unreadable(files: list[str], answer: "Answer") -> str:
    """Return which files could not be read, and why."""
    names = "; ".join(f"{files[row]}: {why}" for row, why in sorted(answer.broken.items())[:20])
    return f"{len(answer.broken)} of {counted(len(files), 'image')} could not be read: {names}"


@app.command()
def bundle(
    search: SearchArgument,
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="New folder; default: SEARCH-bundle.")
    ] = None,
    ensemble: EnsembleOption = None,
    tracking_uri: UriOption = None,
    runs: RunsOption = Path("runs"),
) -> None:
    """Write everything that an offline Kaggle notebook needs into one folder, to upload as a dataset.

    Example: tune-paddy bundle my-search
    """
    folder = folder or Path(f"{search}-bundle")
    store = _open_record(search, ensemble, tracking_uri, runs)
    again = _holds_already(folder, folder / "model", store, search, ensemble)
    with working("importing torch and MLflow's models") as progress:
        # Imported after the checks: torch and MLflow's models take seconds.
        from tune_paddy.serving.bundle import NOTEBOOK
        from tune_paddy.serving.bundle import bundle as write
        from tune_paddy.serving.collect import collect

        progress.stage("writing the bundle")
        write(collect(store, search, runs=runs, ensemble=ensemble), folder)
    done = "Written already: bundle" if again else "Bundle"
    console.print(f"{done} of {_mib(folder):,.1f} MiB: {folder}", soft_wrap=True)
    line = f"{folder}/README.md explains how to upload it to Kaggle and run {NOTEBOOK} there."
    console.print(line, soft_wrap=True)


def _open_record(search: str, ensemble: str | None, tracking_uri: str | None, runs: Path) -> "Store":
    """Open the record of a search.

    Raises:
        InputError: The record does not exist, or has no such search or ensemble.
    """
    from tune_paddy.tracking.lookup.ensembles import get_ensemble

    store = open_record(tracking_uri, runs, search, ensemble=ensemble)
    get_ensemble(store, search, ensemble)
    return store


def _holds_already(folder: Path, model: Path, store: "Store", search: str, ensemble: str | None) -> bool:
    """Return whether a folder exists because the same command wrote it; its files are compared later.

    Args:
        folder: Folder to write.
        model: Place of the model in it.
        store: The record.
        search: Name of the search.
        ensemble: Name or run id of the ensemble; None: the current one.

    Raises:
        InputError: The folder holds anything else.
    """
    from tune_paddy.serving.manifest import exported_ensemble
    from tune_paddy.tracking.lookup.ensembles import get_ensemble

    if not folder.exists():
        return False
    if exported_ensemble(model) != get_ensemble(store, search, ensemble).run_id:
        raise InputError(f"{folder} already exists: remove it, or name another folder")
    return True


def _open_named(model: str, ensemble: str | None, tracking_uri: str | None, runs: Path) -> "Store":
    """Open the record of a search that a model argument names; if there is none, suggest similar folders.

    Raises:
        InputError: There is neither such a folder nor such a search or ensemble.
    """
    from tune_paddy.serving.manifest import similar_exports

    try:
        return _open_record(model, ensemble, tracking_uri, runs)
    except InputError as error:
        folders = similar_exports(Path(model))
        if folders:
            error.add_note(f"did you mean the folder {' or '.join(map(shlex.quote, folders))}?")
        elif "/" in model or os.sep in model:  # no search has a slash in its name
            raise InputError(
                f"there is no folder {model}; `tune-paddy export SEARCH DIR` writes one"
            ) from None
        raise


def _settings(device: str) -> "InferenceSettings":
    """Return the settings of inference on a device.

    Raises:
        InputError: The device is unknown or missing.
    """
    from tune_paddy.training.devices import device_by_name
    from tune_paddy.training.inference import InferenceSettings

    device_by_name(device)
    return InferenceSettings(device)


def _check_and_print(collected: "Collected", folder: Path, settings: "InferenceSettings") -> None:
    from tune_paddy.serving.export import check

    with working("comparing with the submission"):
        checked = check(collected, folder, settings)
    if checked is None:
        line = "Not compared with the submission: its images are not on this machine."
        console.print(line, style="yellow")
        return
    images, difference = counted(checked.images, "image"), checked.difference
    line = f"Compared with the submission on {images}: largest difference {difference:.1e}"
    if difference <= TOLERANCE:
        console.print(line)
    else:
        reason = "expected if device or precision differ from the training"
        console.print(f"{line}, {reason}", style="yellow", soft_wrap=True)


@contextmanager
def _opened(
    model: str, ensemble: str | None, tracking_uri: str | None, runs: Path, device: str
) -> "Iterator[EnsembleModel]":
    """Open an ensemble: an exported folder, a registered model, or an ensemble of a search."""
    if ensemble is not None and (Path(model).is_dir() or model.startswith("models:/")):
        raise InputError(
            "`ensemble` needs the name of a search: an export is one ensemble", options=("ensemble",)
        )
    with owned_folder() as temporary, working("opening the ensemble") as progress:
        if Path(model).is_dir():
            from tune_paddy.serving.manifest import find_ensemble, read_manifest

            folder = Path(model)
            read_manifest(find_ensemble(folder))  # fails before torch is imported
        elif model.startswith("models:/"):
            from tune_paddy.serving.registry import download_model

            folder = download_model(model, temporary, tracking_uri)
        else:
            store = _open_named(model, ensemble, tracking_uri, runs)
            from tune_paddy.serving.collect import collect, symlink

            collect(store, model, runs=runs, ensemble=ensemble).stage(temporary, place=symlink)
            folder = temporary
        from tune_paddy.serving.ensemble_model import EnsembleModel

        opened = EnsembleModel(folder, _settings(device))
        progress.clear()
        yield opened


def _predict_with_progress(model: "EnsembleModel", files: list[str]) -> "Answer":
    with working() as progress:
        progress.stage(f"predicting {counted(len(files), 'image')}", model.passes(len(files)))
        return model.predict(files, progress=progress.advance)


def _mib(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20
