"""Manifest of an exported ensemble: members, ensemble weights and rule, validated when read."""

import difflib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tune_paddy.core.errors import InputError
from tune_paddy.core.pooling import Rule
from tune_paddy.core.selection.result import Selection
from tune_paddy.core.tasks.names import TaskName
from tune_paddy.core.views import KINDS, ViewKind
from tune_paddy.data.ensemble_file import ENSEMBLE_FILE, Temperature
from tune_paddy.data.submission.form import SubmissionFormat
from tune_paddy.data.system.files import read_file
from tune_paddy.data.system.text import first_problem, shown

FORMAT = 1
_SUM_TOLERANCE = 1e-6
_MAX_MIB = 16

_Name = Annotated[str, Field(min_length=1, max_length=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ManifestView(_Strict):
    """One view of a member; a view with weight 0 is a candidate when time is short."""

    kind: ViewKind
    weight: float = Field(ge=0, le=1)
    temperature: Temperature = 1.0


class ManifestMember(_Strict):
    """One member: the folders of its models, and their cost.

    Attributes:
        name: Name of the member in the record.
        arch: timm model name.
        folders: Folders of its models relative to the manifest: one, or one per fold.
        batch_size: Batch size of the member's original prediction.
        passes: Number of augmented passes of the tta view.
        parameters_m: Number of parameters of all its models, in millions.
        run_id: MLflow run ID of the member.
        licence: Licence of its pretrained weights as timm stated it; empty: not recorded.
        pretraining: Datasets of the pretraining; empty: not recorded.
        views: Views of the member, in the order of `core.views.KINDS`.
    """

    name: _Name
    arch: _Name
    # The pattern keeps folders below the manifest, whatever the member's name contains.
    folders: list[Annotated[str, Field(pattern=r"^members/[0-9]{2,5}(/fold-[0-9]{1,3})?$")]] = Field(
        min_length=1
    )
    batch_size: int = Field(ge=1, le=2**20)
    passes: int = Field(ge=0, le=64)
    parameters_m: float = Field(ge=0)
    run_id: str
    licence: str = ""
    pretraining: str = ""
    views: list[ManifestView] = Field(min_length=1, max_length=len(KINDS))


class ManifestEstimate(_Strict):
    """Estimate of the ensemble's quality: a loss on images not used for selection."""

    metric: _Name
    score: float
    low: float
    high: float


class Manifest(_Strict):
    """An exported ensemble.

    Attributes:
        format: Version of the file format.
        tune_paddy: Version of tune-paddy that wrote the file.
        search: Name of the search, or of the refit.
        ensemble_run_id: MLflow run ID of the ensemble.
        classes: Class names, in the order of the last axis of every prediction.
        method: Selection method of the ensemble weights.
        metric: Metric that the selection optimised.
        rule: Rule that combines the views.
        temperature: Temperature of the combination.
        task: What the labels are; see `core.tasks`.
        thresholds: Fitted thresholds of the decisions, or None; see `Selection`.
        members: Members with a positive ensemble weight.
        estimate: Estimate of the quality, or None.
        note: Sentence about the estimate; may be empty.
        submission: Columns of the search's submission, and their content; None: another version wrote the
            file.
    """

    format: Literal[1]
    tune_paddy: str
    search: _Name
    ensemble_run_id: str
    classes: list[_Name] = Field(min_length=1)
    method: _Name
    metric: _Name
    rule: Rule
    temperature: Temperature
    task: TaskName = "classes"
    thresholds: list[float] | None = None
    members: list[ManifestMember] = Field(min_length=1)
    estimate: ManifestEstimate | None
    note: str
    submission: SubmissionFormat | None = None

    @model_validator(mode="after")
    def _check(self) -> "Manifest":
        total = sum(view.weight for _, view in self.views)
        if abs(total - 1) > _SUM_TOLERANCE:
            raise ValueError(f"the weights sum to {total}, not to 1")
        wanted = len(self.classes) - (self.task == "ordered")
        if self.thresholds is not None and len(self.thresholds) != wanted:
            raise ValueError(f"{len(self.thresholds)} thresholds where {wanted} are needed")
        folders = [folder for member in self.members for folder in member.folders]
        for what, values in (("class", self.classes), ("folder", folders)):
            if len(set(values)) < len(values):
                raise ValueError(f"a {what} is named twice")
        return self

    @property
    def views(self) -> list[tuple[ManifestMember, ManifestView]]:
        """Every view with its member, in the order of all arrays of views."""
        return [(member, view) for member in self.members for view in member.views]

    @property
    def selection(self) -> Selection:
        """The ensemble weights of `views`, as selected."""
        views = [view for _, view in self.views]
        return Selection(
            weights=np.array([view.weight for view in views]),
            score=float("nan"),
            metric=self.metric,
            method=self.method,
            rule=self.rule,
            temperature=self.temperature,
            member_temperatures=np.array([view.temperature for view in views]),
            task=self.task,
            thresholds=None if self.thresholds is None else np.array(self.thresholds),
        )


def find_ensemble(folder: Path) -> Path:
    """Return the manifest's folder: the given one, or the one within an MLflow model."""
    inner = folder / "artifacts" / "ensemble"
    return inner if inner.is_dir() else folder


def exported_ensemble(folder: Path) -> str | None:
    """Return the MLflow run ID of the ensemble that a folder holds; None: it holds no readable export."""
    try:
        return read_manifest(find_ensemble(folder)).ensemble_run_id
    except InputError:
        return None


def similar_exports(wanted: Path) -> list[str]:
    """Return the exported folders beside a missing one whose names are similar, at most three."""
    try:
        exports = [
            path for path in wanted.parent.iterdir() if (find_ensemble(path) / ENSEMBLE_FILE).is_file()
        ]
    except OSError:
        return []
    names = difflib.get_close_matches(wanted.name, [path.name for path in exports], n=3)
    return [str(wanted.with_name(name)) for name in names]


def read_manifest(folder: Path) -> Manifest:
    """Read and validate the manifest of an exported ensemble.

    Raises:
        InputError: The manifest is missing or invalid; the message names the file and the key.
    """
    path = folder / ENSEMBLE_FILE
    try:
        content = read_file(path, most=_MAX_MIB, what="an exported ensemble")
    except InputError as error:
        raise InputError(
            f"{shown(folder)} holds no exported ensemble ({error}); `tune-paddy export SEARCH DIR` writes one"
        ) from error
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise InputError(f"{shown(path)}: {first_problem(error)}: export the ensemble again") from error
