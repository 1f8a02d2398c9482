"""Write an ensemble as an MLflow model, and compare it with the submission."""

import base64
import io
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tune_paddy.core.errors import InputError
from tune_paddy.data.system.owned_folders import UNFINISHED, owned_folder, sweep
from tune_paddy.serving.card import write_card
from tune_paddy.serving.collect import Collected, link_or_copy
from tune_paddy.serving.ensemble_model import EnsembleModel
from tune_paddy.serving.manifest import exported_ensemble, find_ensemble, read_manifest
from tune_paddy.tracking.client import call, load_mlflow
from tune_paddy.training.inference import InferenceSettings

REQUIREMENTS = (
    "fastai",
    "mlflow",
    "numpy",
    "pandas",
    "pillow",
    "psutil",
    "pydantic",
    "safetensors",
    "scipy",
    "timm",
    "torch",
    "torchvision",
)
"""Packages that an exported ensemble needs besides its own code."""

CHECKED = 8
"""Number of test images whose predictions by a new export are compared with the record."""


@dataclass(frozen=True)
class Check:
    """Comparison of an export's predictions with those of the submission.

    Attributes:
        images: Number of compared test images.
        difference: Largest absolute difference of a probability.
    """

    images: int
    difference: float


def export(collected: Collected, folder: Path) -> Path:
    """Write an ensemble as an MLflow model; the folder appears complete or not at all.

    A folder that holds this export already stays as it is: an earlier call may have been killed after it.

    Args:
        collected: Ensemble from the record.
        folder: Folder to create.

    Returns:
        The folder.

    Raises:
        InputError: The folder exists already, and holds anything else.
        TunePaddyError: MLflow failed.
    """
    if is_export(collected, folder):
        return folder
    if folder.exists():
        raise InputError(f"{folder} already exists: remove it, or name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent, prefix=UNFINISHED)
    with owned_folder(folder.parent, prefix=UNFINISHED) as temporary:
        staged, written = temporary / "ensemble", temporary / "model"
        staged.mkdir()
        collected.stage(staged, place=link_or_copy)
        _save(staged, written)
        write_card(written, collected.manifest, folder.name)
        written.replace(folder)
    return folder


def is_export(collected: Collected, folder: Path) -> bool:
    """Return whether a folder holds this ensemble as `export` of this version writes it, complete."""
    if not (folder / "MLmodel").is_file() or exported_ensemble(folder) is None:
        return False
    inner = find_ensemble(folder)
    return read_manifest(inner) == collected.manifest and all(
        (inner / name).is_file() and (inner / name).stat().st_size == source.stat().st_size
        for name, source in collected.files().items()
    )


def requirements() -> list[str]:
    """Return `NAME==VERSION` of each package that an export needs, as installed here."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS]


def check(collected: Collected, folder: Path, settings: InferenceSettings) -> Check | None:
    """Predict a few test images with an export and compare; return None if no test image is available."""
    rows = sorted(collected.test_paths)[:: max(1, len(collected.test_paths) // CHECKED)][:CHECKED]
    if not rows:
        return None
    answer = EnsembleModel(folder, settings).predict([collected.test_paths[row] for row in rows])
    good = [place for place in range(len(rows)) if place not in answer.broken]
    expected = collected.test[[rows[place] for place in good]]
    return Check(len(good), float(np.abs(answer.probs[good] - expected).max(initial=0.0)))


def _save(staged: Path, written: Path) -> None:
    mlflow = load_mlflow()
    # It warns that pip is missing, which environments can do without.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    from mlflow.models import ModelSignature  # noqa: PLC0415 after load_mlflow has set its environment
    from mlflow.types import ColSpec, DataType, Schema  # noqa: PLC0415
    from mlflow.types.schema import Map  # noqa: PLC0415

    package = Path(__file__).parents[1]
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "image")]),
        outputs=Schema(
            [
                ColSpec(DataType.string, "label"),
                ColSpec(DataType.double, "probability"),
                ColSpec(Map(DataType.double), "probabilities"),
            ]
        ),
    )
    call(
        mlflow.pyfunc.save_model,
        path=str(written),
        python_model=str(package / "serving" / "model_code.py"),
        artifacts={"ensemble": str(staged)},
        code_paths=[str(package)],
        signature=signature,
        input_example=pd.DataFrame({"image": [_grey_image()]}),
        pip_requirements=requirements(),
    )
    _forget_places(written / "MLmodel", [package / "serving", staged.parent])


def _forget_places(described: Path, folders: Sequence[Path]) -> None:
    """Remove this machine's paths from MLflow's description; MLflow needs only the names of the files."""
    text = described.read_text(encoding="utf-8")
    for folder in folders:
        text = text.replace(f"{folder}{os.sep}", "")
    described.write_text(text, encoding="utf-8")


def _grey_image() -> str:
    """Return a PNG in base64 for the input example: the licence of a dataset's image may forbid sharing."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (128, 128, 128)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
